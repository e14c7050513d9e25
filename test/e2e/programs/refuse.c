/*
 * Runs a program under a kernel that refuses one offload.
 *
 *     refuse udp-gro|udp-segment|tun-offload PROGRAM ARGUMENTS...
 *
 * A seccomp filter, which survives exec, answers the system call that asks for it with an error.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Low halves of 64-bit arguments, on little-endian machines. */
#define ARGUMENT(n) offsetof(struct seccomp_data, args[n])
#define NUMBER offsetof(struct seccomp_data, nr)

static int install(unsigned call, unsigned second, int has_third, unsigned third, int error) {
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NUMBER),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(1)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, has_third ? ARGUMENT(2) : ARGUMENT(1)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, has_third ? third : second, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv) {
	if (argc < 3) return 2;
	int done = -1;
	if (strcmp(argv[1], "udp-gro") == 0)
		done = install(SYS_setsockopt, IPPROTO_UDP, 1, UDP_GRO, ENOPROTOOPT);
	if (strcmp(argv[1], "udp-segment") == 0)
		done = install(SYS_setsockopt, IPPROTO_UDP, 1, UDP_SEGMENT, ENOPROTOOPT);
	if (strcmp(argv[1], "tun-offload") == 0)
		done = install(SYS_ioctl, TUNSETOFFLOAD, 0, 0, EINVAL);
	if (done != 0) return 1;
	execvp(argv[2], argv + 2);
	return 1;
}
