// SPDX-License-Identifier: GPL-2.0
/*
 * The memory of frames on their way into the stack: pools of a few chunks, used
 * in turn, and again once the stack is done with all that lay in them.
 *
 * Each frame has a page reference. Those of a batch are added when it is
 * injected, one atomic operation a chunk; the chunk keeps one of its own. A
 * chunk whose references have come back to that one is free for new frames,
 * which saves the allocator and its zeroing of pages. One that is still in use
 * when its turn comes is left to the stack, and replaced.
 */
#include <linux/gfp.h>
#include <linux/mm.h>

#include "internal.h"

#define TT_CHUNK_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN | __GFP_NOMEMALLOC)

static bool chunk_idle(const struct tt_chunk *chunk)
{
	return !chunk->frames && chunk->page &&
	       page_ref_count(chunk->page) == 1;
}

static bool chunk_renew(struct tt_chunk *chunk, unsigned int order,
			unsigned int bytes)
{
	if (chunk->page)
		put_page(chunk->page);
	chunk->page = alloc_pages(TT_CHUNK_GFP | __GFP_COMP | __GFP_NORETRY,
				  order);
	if (!chunk->page && bytes <= PAGE_SIZE) {
		order = 0;
		chunk->page = alloc_page(TT_CHUNK_GFP);
	}
	chunk->bytes = chunk->page ? PAGE_SIZE << order : 0;
	chunk->used = 0;
	return chunk->page;
}

/*
 * A chunk with room for bytes, no more than the pool's chunks have. NULL when
 * there is no memory, or when the batch must be injected first: it has frames
 * everywhere.
 */
struct tt_chunk *tt_chunk_get(struct tt_pool *pool, unsigned int bytes)
{
	struct tt_chunk *chunk = &pool->chunks[pool->current_chunk];
	unsigned int next;

	if (chunk_idle(chunk))
		chunk->used = 0;
	if (chunk->used + bytes <= chunk->bytes)
		return chunk;

	next = (pool->current_chunk + 1) % TT_CHUNKS;
	chunk = &pool->chunks[next];
	if (chunk->frames)
		return NULL;
	if (chunk_idle(chunk) && bytes <= chunk->bytes)
		chunk->used = 0;
	else if (!chunk_renew(chunk, pool->order, bytes))
		return NULL;
	pool->current_chunk = next;
	return chunk;
}

/* Before the injection: a reference for each frame. */
void tt_chunks_hold(struct tt_pool *pool)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (pool->chunks[i].frames)
			page_ref_add(pool->chunks[i].page,
				     pool->chunks[i].frames);
}

/* The injection failed: the references are ours again. */
void tt_chunks_unhold(struct tt_pool *pool)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (pool->chunks[i].frames)
			page_ref_sub(pool->chunks[i].page,
				     pool->chunks[i].frames);
}

/* The batch is over, whatever became of it. */
void tt_chunks_settle(struct tt_pool *pool)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		pool->chunks[i].frames = 0;
}

void tt_chunks_free(struct tt_pool *pool)
{
	unsigned int i;

	for (i = 0; i < TT_CHUNKS; i++)
		if (pool->chunks[i].page)
			put_page(pool->chunks[i].page);
}
