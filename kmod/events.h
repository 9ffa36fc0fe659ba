/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints. They name a socket by its inode, as /proc/PID/fd does. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM turbotap

#if !defined(TURBOTAP_EVENTS_H) || defined(TRACE_HEADER_MULTI_READ)
#define TURBOTAP_EVENTS_H

#include <linux/tracepoint.h>
#include <net/sock.h>

DECLARE_EVENT_CLASS(turbotap_batch,
		    TP_PROTO(const struct sock *sk, unsigned int frames),
		    TP_ARGS(sk, frames),
		    TP_STRUCT__entry(__field(unsigned long, inode)
				     __field(unsigned int, frames)),
		    TP_fast_assign(__entry->inode = SOCK_INODE(sk->sk_socket)->i_ino;
				   __entry->frames = frames;),
		    TP_printk("inode=%lu frames=%u",
			      __entry->inode, __entry->frames)
);

/* A batch was injected. */
DEFINE_EVENT(turbotap_batch, turbotap_flush,
	     TP_PROTO(const struct sock *sk, unsigned int frames),
	     TP_ARGS(sk, frames)
);

/* The timer, or the socket's release, injects a batch that was left waiting. */
DEFINE_EVENT(turbotap_batch, turbotap_late_flush,
	     TP_PROTO(const struct sock *sk, unsigned int frames),
	     TP_ARGS(sk, frames)
);

/* Accepted frames were dropped: their device is gone, or down. */
TRACE_EVENT(turbotap_drop,
	    TP_PROTO(const struct sock *sk, unsigned int frames, int error),
	    TP_ARGS(sk, frames, error),
	    TP_STRUCT__entry(__field(unsigned long, inode)
			     __field(unsigned int, frames)
			     __field(int, error)),
	    TP_fast_assign(__entry->inode = SOCK_INODE(sk->sk_socket)->i_ino;
			   __entry->frames = frames;
			   __entry->error = error;),
	    TP_printk("inode=%lu frames=%u error=%d",
		      __entry->inode, __entry->frames, __entry->error)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE events
#include <trace/define_trace.h>
