package pebble

import "github.com/cockroachdb/pebble/v2"

// CacheSizeDefault is the memory, in bytes, that all stores of a process share for blocks and memtables.
const CacheSizeDefault = 256 << 20

// Cache is memory for blocks read from disk, shared by the stores that are opened with it.
type Cache struct{ blocks *pebble.Cache }

// NewCache makes a cache of that many bytes; 0 is CacheSizeDefault.
func NewCache(bytes int64) *Cache {
	if bytes == 0 {
		bytes = CacheSizeDefault
	}
	return &Cache{blocks: pebble.NewCache(bytes)}
}

// Close gives the cache up: its memory is freed when the last store that uses it is closed.
func (c *Cache) Close() { c.blocks.Unref() }
