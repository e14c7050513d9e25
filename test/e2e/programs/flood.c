/*
 * Sends datagrams as fast as asked, in bursts.
 *
 *     flood ADDRESS PORT BURSTS_PER_SECOND SECONDS FILE
 *
 * FILE holds the datagrams, each behind its length as a little-endian 32-bit number; they are sent in
 * turn. 0 bursts per second means without pause. Prints how many were sent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, BATCHES_PER_BURST = 8, DATAGRAMS = 4096 };

static struct iovec datagrams[DATAGRAMS];

static size_t load(const char *name) {
	FILE *file = fopen(name, "rb");
	uint32_t length;
	size_t count = 0;
	while (file && count < DATAGRAMS && fread(&length, sizeof length, 1, file) == 1) {
		datagrams[count].iov_base = malloc(length + 1);
		datagrams[count].iov_len = fread(datagrams[count].iov_base, 1, length, file);
		count++;
	}
	return count;
}

static double now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
	if (argc != 6) return 2;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	double rate = atof(argv[3]), seconds = atof(argv[4]);
	size_t count = load(argv[5]), next = 0;
	if (fd < 0 || count == 0) return 1;

	unsigned long sent = 0, batches = 0;
	double since = now();
	while (now() - since < seconds) {
		struct mmsghdr batch[BATCH] = {0};
		for (int i = 0; i < BATCH; i++, next = (next + 1) % count) {
			batch[i].msg_hdr.msg_name = &to;
			batch[i].msg_hdr.msg_namelen = sizeof to;
			batch[i].msg_hdr.msg_iov = &datagrams[next];
			batch[i].msg_hdr.msg_iovlen = 1;
		}
		int done = sendmmsg(fd, batch, BATCH, 0);
		sent += done > 0 ? done : 0;
		batches++;
		unsigned long bursts = batches / BATCHES_PER_BURST;
		double wait = rate > 0 ? since + bursts / rate - now() : 0;
		if (wait > 0) nanosleep(&(struct timespec){wait, (wait - (long)wait) * 1e9}, NULL);
	}
	printf("%lu\n", sent);
	return 0;
}
