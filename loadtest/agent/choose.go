package agent

// Chosen tells whether device i of n is among the k that seed and job choose. For every seed and job exactly k of the
// devices 0 to n-1 are, so that five in a hundred of a thousand are fifty, and not about fifty.
func Chosen(i, n, k int, seed uint64, job string) bool {
	key := seed
	for _, c := range []byte(job) {
		key = mix(key ^ uint64(c))
	}
	return permute(uint64(i), uint64(n), key) < uint64(k)
}

// permute is a permutation of 0 to n-1: a Feistel network over the next even power of two, walked along until it
// comes back into the range.
func permute(i, n, key uint64) uint64 {
	half := uint(1)
	for n > 1<<(2*half) {
		half++
	}
	mask := uint64(1)<<half - 1
	for {
		left, right := i>>half, i&mask
		for round := range uint64(4) {
			left, right = right, left^mix(key+round<<32+right)&mask
		}
		if i = left<<half | right; i < n {
			return i
		}
	}
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
