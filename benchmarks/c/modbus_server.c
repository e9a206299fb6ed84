/* Modbus TCP devices for the benchmarks: answers every read of function 3 or 4 with the same words, on as many connections
 * as there are. A device is a local address: with DEAD_EVERY n, addresses 127.1.x.y whose number is a multiple of n take
 * requests and never answer. Usage: modbus_server PORT DEAD_EVERY */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST = 12, EVENTS = 256, FILES = 65536 };

static int dead_every;
static struct { unsigned char bytes[REQUEST]; int have, dead; } line[FILES];
static unsigned char answer[9 + 250];

static void die(const char *what) { perror(what); exit(1); }

static void serve(int fd) {
    unsigned char *q = line[fd].bytes;
    for (;;) {
        ssize_t got = read(fd, q + line[fd].have, REQUEST - line[fd].have);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) { close(fd); return; }
        line[fd].have += got;
        if (line[fd].have < REQUEST) continue;
        line[fd].have = 0;
        if (line[fd].dead) continue;
        int words = q[10] << 8 | q[11];
        if ((q[7] != 3 && q[7] != 4) || words < 1 || words > 125) { close(fd); return; }
        answer[0] = q[0]; answer[1] = q[1];                       /* the transaction it belongs to */
        answer[4] = 0; answer[5] = 3 + 2 * words;
        answer[6] = q[6]; answer[7] = q[7]; answer[8] = 2 * words;
        if (write(fd, answer, 9 + 2 * words) < 0) { close(fd); return; }
    }
}

static void welcome(int listener, int watch) {
    struct sockaddr_in here;
    socklen_t size = sizeof here;
    int fd, one = 1;
    while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        if (fd >= FILES) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        getsockname(fd, (struct sockaddr *)&here, &size);
        line[fd].have = 0;
        line[fd].dead = dead_every && (ntohl(here.sin_addr.s_addr) & 0xffff) % dead_every == 0;
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(watch, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    dead_every = atoi(argv[2]);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files = {FILES, FILES};
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 0; i < 125; i++) {                               /* 230.5 + i as float32, a plausible reading */
        float value = 230.5f + i / 2;
        unsigned bits;
        memcpy(&bits, &value, 4);
        unsigned short word = i % 2 ? bits & 0xffff : bits >> 16;
        answer[9 + 2 * i] = word >> 8; answer[10 + 2 * i] = word & 0xff;
    }
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), watch = epoll_create1(0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), };
    any.sin_addr.s_addr = htonl(INADDR_ANY); /* every address of 127.0.0.0/8 is a device */
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 4096)) die("listen");
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, ready[EVENTS];
    epoll_ctl(watch, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(watch, ready, EVENTS, -1);
        for (int i = 0; i < n; i++)
            if (ready[i].data.fd == listener) welcome(listener, watch); else serve(ready[i].data.fd);
    }
}
