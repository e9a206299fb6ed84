/* The limit for a poller: libmodbus, one thread, words to floats, nothing kept.
 * Usage: modbus_client PORT DEVICES WORDS REQUESTS SECONDS PERIODIC
 * PERIODIC 0: round after round as fast as it can. 1: each device once a second, spread over it.
 * Prints: polls, CPU in us a poll, p99 lag in ms (0 when not periodic). */
#include <modbus/modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static int ascending(const void *a, const void *b) { double x = *(double *)a, y = *(double *)b; return (x > y) - (x < y); }

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    int port = atoi(argv[1]), devices = atoi(argv[2]), words = atoi(argv[3]), requests = atoi(argv[4]), periodic = atoi(argv[6]);
    double seconds = atof(argv[5]);
    modbus_t **line = malloc(devices * sizeof *line);
    for (int i = 0; i < devices; i++) {
        char host[32];
        snprintf(host, sizeof host, "127.1.%d.%d", (i + 1) >> 8, (i + 1) & 255);
        line[i] = modbus_new_tcp(host, port);
        modbus_set_response_timeout(line[i], 1, 0);
        modbus_set_slave(line[i], 1);
        if (modbus_connect(line[i])) { perror(host); return 1; }
    }
    size_t room = (size_t)(devices * (seconds + 1)) + 1, polls = 0;
    double *lag = malloc(room * sizeof *lag), start = now(), used = cpu();
    volatile double sum = 0;
    for (int round = 0; now() - start < seconds; round++)
        for (int i = 0; i < devices; i++) {
            double due = start + round + (double)i / devices, wait = due - now();
            if (periodic && wait > 0) {
                struct timespec t = {(time_t)wait, (long)((wait - (time_t)wait) * 1e9)};
                nanosleep(&t, 0);
            }
            unsigned short word[125];
            int good = 1;
            for (int r = 0; r < requests && good; r++) good = modbus_read_registers(line[i], 150 * r, words / requests, word) > 0;
            for (int w = 0; good && w + 1 < words / requests; w += 2) sum += modbus_get_float_abcd(word + w);
            if (good && polls < room && periodic) lag[polls] = now() - due;
            polls += good;
        }
    used = cpu() - used;
    size_t n = polls < room ? polls : room;
    if (periodic) qsort(lag, n, sizeof *lag, ascending);
    printf("%zu %.2f %.2f\n", polls, used / polls * 1e6, periodic ? lag[n * 99 / 100] * 1e3 : 0.0);
    return 0;
}
