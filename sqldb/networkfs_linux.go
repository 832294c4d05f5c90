package sqldb

import "syscall"

// networkFS returns the name of the network file system that dir is on, or
// "". The numbers are those of statfs(2).
func networkFS(dir string) string {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return ""
	}
	return map[uint32]string{
		0x6969:     "NFS",
		0x517b:     "SMB",
		0xff534d42: "CIFS",
		0xfe534d42: "SMB",
		0x01021997: "9P",
		0x00c36400: "Ceph",
		0x5346414f: "AFS",
	}[uint32(s.Type)]
}
