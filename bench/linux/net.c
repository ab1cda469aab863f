/*
 * What Linux serves while the network is measured from outside: nginx a small file, and this program transfers in bulk.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SINK = 5001, SOURCE = 5002, BULK = 16 << 20 };

static void set_address(struct sockaddr *at, const char *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)at;
	memset(in, 0, sizeof *in);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, address, &in->sin_addr);
}

static void up(int control, const char *name, const char *address, const char *mask)
{
	struct ifreq request;
	memset(&request, 0, sizeof request);
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	/* The driver probes on its own time. */
	for (int patience = 1000; ioctl(control, SIOCGIFFLAGS, &request) != 0 && patience > 0; patience--)
		usleep(10000);
	set_address(&request.ifr_addr, address);
	ioctl(control, SIOCSIFADDR, &request);
	set_address(&request.ifr_netmask, mask);
	ioctl(control, SIOCSIFNETMASK, &request);
	ioctl(control, SIOCGIFFLAGS, &request);
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	ioctl(control, SIOCSIFFLAGS, &request);
}

static void *serve(void *argument)
{
	int port = *(int *)argument, on = 1;
	static char zeros[1 << 16];
	char buffer[1 << 16];
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 16) != 0) {
		perror("failed: a port");
		return NULL;
	}
	for (;;) {
		int peer = accept(listener, NULL, NULL);
		ssize_t done = 1;
		for (long left = BULK; left > 0 && done > 0; left -= done) {
			size_t some = left < (long)sizeof buffer ? (size_t)left : sizeof buffer;
			done = port == SINK ? read(peer, buffer, some) : write(peer, zeros, some);
		}
		if (port == SINK && done > 0)
			done = write(peer, "!", 1);
		close(peer);
	}
}

/* Does not return. */
void serve_network(void)
{
	int control = socket(AF_INET, SOCK_DGRAM, 0);
	up(control, "lo", "127.0.0.1", "255.0.0.0");
	up(control, "eth0", "10.0.2.15", "255.255.255.0");
	struct rtentry route;
	memset(&route, 0, sizeof route);
	set_address(&route.rt_dst, "0.0.0.0");
	set_address(&route.rt_genmask, "0.0.0.0");
	set_address(&route.rt_gateway, "10.0.2.2");
	route.rt_flags = RTF_UP | RTF_GATEWAY;
	ioctl(control, SIOCADDRT, &route);
	struct rlimit files = { 4096, 4096 };
	setrlimit(RLIMIT_NOFILE, &files);
	if (fork() == 0) {
		execl("/nginx", "nginx", "-e", "/dev/null", "-c", "/nginx.conf", NULL);
		perror("failed: nginx");
		_exit(1);
	}
	static int ports[2] = { SINK, SOURCE };
	pthread_t thread;
	pthread_create(&thread, NULL, serve, &ports[0]);
	serve(&ports[1]);
}
