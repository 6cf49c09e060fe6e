package child

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// addressSpaceSlack is for what the Go runtime reserves beside the heap, in
// arenas of 64 MiB.
const addressSpaceSlack = 512 << 20

// limitAddressSpace is the hard stop behind watchMemory: one allocation can be
// larger than all memory before it can be seen. The runtime reserves address
// space that it never uses, so the limit is put on top of what is reserved
// now, and with room: garbage that the collector has not come to yet must not
// reach it.
func limitAddressSpace(memory int64) error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	field, _, _ := bytes.Cut(statm, []byte(" "))
	pages, err := strconv.ParseUint(string(field), 10, 64)
	if err != nil {
		return fmt.Errorf("read /proc/self/statm: %w", err)
	}
	most := pages*uint64(os.Getpagesize()) + 3*uint64(memory) + addressSpaceSlack
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &now); err != nil {
		return err
	}
	most = min(most, now.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		return err
	}
	// A core file of a hostile input would hold its values, and fill the disk.
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
