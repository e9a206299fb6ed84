/* Posts prepared bodies of line protocol to an InfluxDB as fast as it answers.
 *
 * line_post PORT DATABASE FOLDER COUNT CONNECTIONS: FOLDER/000000 ... are the bodies; prints seconds and answers other than 204.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct body {
    char *bytes;
    size_t size;
};

static struct body prepared(const char *database, const char *folder, int number)
{
    char path[4096], head[512];
    struct stat found;
    snprintf(path, sizeof path, "%s/%06d", folder, number);
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &found) < 0) {
        perror(path);
        exit(1);
    }
    int length = snprintf(head, sizeof head,
                          "POST /write?db=%s&precision=ms HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %lld\r\n\r\n",
                          database, (long long)found.st_size);
    struct body made = {malloc(length + found.st_size), length + found.st_size};
    memcpy(made.bytes, head, length);
    if (read(file, made.bytes + length, found.st_size) != found.st_size)
        exit(1);
    close(file);
    return made;
}

static int post(int port, struct body *bodies, int first, int count, int step)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    char answer[65536];
    int one = 1, refused = 0, link = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    setsockopt(link, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(link, (struct sockaddr *)&to, sizeof to) < 0)
        exit(255);
    for (int number = first; number < count; number += step) {
        for (size_t sent = 0; sent < bodies[number].size;) {
            ssize_t done = write(link, bodies[number].bytes + sent, bodies[number].size - sent);
            if (done <= 0)
                exit(255);
            sent += done;
        }
        size_t have = 0;
        do {
            ssize_t got = read(link, answer + have, sizeof answer - 1 - have);
            if (got <= 0)
                exit(255);
            have += got;
            answer[have] = 0;
        } while (!strstr(answer, "\r\n\r\n"));
        if (!strstr(answer, " 204 "))
            exit(++refused);
    }
    return refused;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        return 2;
    int count = atoi(argv[4]), connections = atoi(argv[5]), refused = 0, status;
    struct body *bodies = calloc(count, sizeof *bodies);
    struct timespec begun, ended;
    for (int number = 0; number < count; number++)
        bodies[number] = prepared(argv[2], argv[3], number);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    for (int first = 0; first < connections; first++)
        if (!fork())
            _exit(post(atoi(argv[1]), bodies, first, count, connections));
    while (wait(&status) > 0)
        refused += WEXITSTATUS(status);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%.6f %d\n", ended.tv_sec - begun.tv_sec + (ended.tv_nsec - begun.tv_nsec) / 1e9, refused);
    return 0;
}
