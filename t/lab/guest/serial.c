/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of text over the first serial port (16550 with FIFO), receive by interrupt. */
#include "t/lab/guest/guest.h"

#define COM1      0x3f8
#define LSR_DATA  1
#define LSR_EMPTY 0x20

static char partial[64];
static int used;

void serial_setup(void)
{
	out8(COM1 + 3, 3);
	out8(COM1 + 2, 7);
	out8(COM1 + 4, 0xb);
	out8(COM1 + 1, 1);
}

int serial_line(char *line, int size)
{
	int i, n;

	while (in8(COM1 + 5) & LSR_DATA) {
		char c = (char)in8(COM1);

		if (c != '\n') {
			if (used < (int)sizeof(partial) - 1)
				partial[used++] = c;
			continue;
		}
		n = used < size - 1 ? used : size - 1;
		for (i = 0; i < n; i++)
			line[i] = partial[i];
		line[n] = 0;
		used = 0;
		return 1;
	}
	return 0;
}

void serial_say(const char *text)
{
	for (; *text; text++) {
		while (!(in8(COM1 + 5) & LSR_EMPTY))
			;
		out8(COM1, (uint8_t)*text);
	}
}
