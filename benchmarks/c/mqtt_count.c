/* The limit for a subscriber: libmosquitto, QoS 1, counts and does nothing else.
 * Usage: mqtt_count PORT FILTER MESSAGES. Prints: messages, CPU in us a message, seconds from the first to the last. */
#include <mosquitto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static long count, goal;
static double first, used;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void on_message(struct mosquitto *m, void *unused, const struct mosquitto_message *message) {
    (void)unused; (void)message;
    if (!count++) { first = now(); used = cpu(); }
    if (count == goal) mosquitto_disconnect(m);
}

static void on_subscribe(struct mosquitto *m, void *unused, int id, int n, const int *qos) {
    (void)m; (void)unused; (void)id; (void)n; (void)qos;
    puts("ready");
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    goal = atol(argv[3]);
    mosquitto_lib_init();
    struct mosquitto *m = mosquitto_new("count", true, 0);
    mosquitto_message_callback_set(m, on_message);
    mosquitto_subscribe_callback_set(m, on_subscribe);
    if (mosquitto_connect(m, "127.0.0.1", atoi(argv[1]), 60)) return 1;
    mosquitto_subscribe(m, 0, argv[2], 1);
    mosquitto_loop_forever(m, -1, 1);
    printf("%ld %.3f %.3f\n", count, (cpu() - used) / count * 1e6, now() - first);
    return 0;
}
