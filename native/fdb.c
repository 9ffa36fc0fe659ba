/* SPDX-License-Identifier: Apache-2.0 */
#include "fdb.h"

#include <stdbool.h>

#include "atomic.h"
#include "flow_hash.h"

#define VALID 1ull
#define REFRESH_NS 1000000000ull /* a busy source writes its line once a second, not once a packet */

static uint64_t fdb_key(uint64_t mac, uint32_t port)
{
	return mac << 16 | (uint64_t)port << 8 | VALID;
}

static uint64_t fdb_key_mac(uint64_t key)
{
	return key >> 16;
}

static int fdb_key_port(uint64_t key)
{
	return (int)(key >> 8 & 0xff);
}

static bool fdb_learnable(const uint8_t *mac, uint64_t value)
{
	return !(mac[0] & 1) && value != 0;
}

static uint64_t fdb_bucket(uint64_t mac)
{
	return hash_mix64(mac) & (TTF_FDB_BUCKETS - 1);
}

void ttf_fdb_learn(struct ttf_fdb *fdb, const uint8_t *mac, uint32_t port, uint64_t now_ns)
{
	uint64_t value = fdb_mac(mac);
	struct ttf_fdb_entry *bucket = fdb->entries[fdb_bucket(value)];
	struct ttf_fdb_entry *victim = NULL;
	uint64_t victim_key = 0, victim_seen = UINT64_MAX;
	bool found = false;

	if (!fdb_learnable(mac, value))
		return;
	for (int way = 0; way < TTF_FDB_WAYS; way++) {
		struct ttf_fdb_entry *entry = &bucket[way];
		uint64_t key = load_relaxed(&entry->key);
		uint64_t seen = key ? load_relaxed(&entry->seen_ns) : 0;

		if (key && fdb_key_mac(key) == value) {
			if (found) { /* two workers learned it at once */
				cas_relaxed(&entry->key, &key, 0);
				continue;
			}
			found = true;
			if (fdb_key_port(key) != (int)port) /* the station moved */
				cas_relaxed(&entry->key, &key, fdb_key(value, port));
			if (now_ns - seen >= REFRESH_NS)
				store_relaxed(&entry->seen_ns, now_ns);
		} else if (seen < victim_seen) {
			victim = entry;
			victim_key = key;
			victim_seen = seen;
		}
	}
	if (!found && victim && cas_relaxed(&victim->key, &victim_key, fdb_key(value, port)))
		store_relaxed(&victim->seen_ns, now_ns);
}

int ttf_fdb_lookup(const struct ttf_fdb *fdb, const uint8_t *mac, uint64_t now_ns)
{
	uint64_t value = fdb_mac(mac);
	const struct ttf_fdb_entry *bucket = fdb->entries[fdb_bucket(value)];

	if (!fdb_learnable(mac, value))
		return FDB_UNKNOWN;
	for (int way = 0; way < TTF_FDB_WAYS; way++) {
		uint64_t key = load_relaxed(&bucket[way].key);

		/* Shared memory: a port id out of range must not index anything. */
		if (!key || fdb_key_mac(key) != value || fdb_key_port(key) >= TTF_MAX_PORTS)
			continue;
		/* Another worker may have read its coarse clock a tick later: compare signed. */
		if ((int64_t)(now_ns - load_relaxed(&bucket[way].seen_ns)) > (int64_t)fdb->ageing_ns)
			return FDB_UNKNOWN;
		return fdb_key_port(key);
	}
	return FDB_UNKNOWN;
}

uint32_t ttf_fdb_flush(struct ttf_fdb *fdb, uint32_t port)
{
	uint32_t flushed = 0;

	for (uint32_t b = 0; b < TTF_FDB_BUCKETS; b++)
		for (int way = 0; way < TTF_FDB_WAYS; way++) {
			uint64_t key = load_relaxed(&fdb->entries[b][way].key);

			if (key && fdb_key_port(key) == (int)port)
				flushed += (uint32_t)cas_relaxed(&fdb->entries[b][way].key, &key, 0);
		}
	return flushed;
}
