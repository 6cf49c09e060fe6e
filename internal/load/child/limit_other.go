//go:build !linux

package child

// limitAddressSpace does nothing: outside Linux no limit on a process's address
// space can be relied on, and watchMemory is the only bound.
func limitAddressSpace(int64) error { return nil }
