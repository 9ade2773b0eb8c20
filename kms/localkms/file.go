package localkms

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/colseal/colseal/kms"
)

// kekSize is the length of the KEK file in bytes.
const kekSize = 32

const openOp = "open KEK file"

// readKEK returns the contents of the KEK file, and makes the file first if there
// is none and create says so.
func readKEK(path string, create bool) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err := createKEK(path); err != nil {
			return nil, createError(path, err)
		}
		f, err = os.Open(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fail(openOp, path, kms.ErrKeyNotFound, err, "", "restore the file from a backup")
	case errors.Is(err, fs.ErrPermission):
		return nil, fail(openOp, path, kms.ErrDenied, err, "this user may not read it", "give the file to the user that runs this program")
	case err != nil:
		return nil, fail(openOp, path, kms.ErrUnavailable, err, err.Error(), "")
	}
	defer func() { _ = f.Close() }()
	// The checks are on the open file, so that it cannot be swapped in between.
	info, err := f.Stat()
	if err != nil {
		return nil, fail(openOp, path, kms.ErrUnavailable, err, err.Error(), "")
	}
	if err := checkFile(path, info); err != nil {
		return nil, err
	}
	secret := make([]byte, kekSize)
	if _, err := io.ReadFull(f, secret); err != nil {
		return nil, fail(openOp, path, kms.ErrUnavailable, err, err.Error(), "")
	}
	return secret, nil
}

func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fail(openOp, path, kms.ErrDenied, nil, "it is not a regular file", "name the KEK file itself")
	}
	// Windows has no permission bits: Go reports 0666 or 0444 there.
	if perm := info.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" {
		return fail(openOp, path, kms.ErrDenied, nil, fmt.Sprintf("its permissions are %#o, so others may read or change it", perm),
			"if nobody else has, chmod 600 it")
	}
	if info.Size() != kekSize {
		return fail(openOp, path, kms.ErrDenied, nil, fmt.Sprintf("it has %d bytes, a KEK file has %d", info.Size(), kekSize),
			"restore the file from a backup, or name another path for a new KEK")
	}
	return nil
}

// createKEK makes the KEK file durably and completely, or leaves the one that
// another process made meanwhile. A link, unlike a rename, never replaces a file.
func createKEK(path string) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".kek-*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	secret := make([]byte, kekSize)
	defer clear(secret)
	_, _ = rand.Read(secret) // never fails
	_, err = tmp.Write(secret)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Also when another process won: its entry may not be on the disk yet, and
	// this process is about to use the KEK.
	return syncDir(dir)
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be opened for this there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func createError(path string, err error) error {
	const op = "make KEK file"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// It is not made: a volume that is not mounted must not give a new KEK.
		return fail(op, path, kms.ErrKeyNotFound, err, "its directory does not exist", "make the directory, or mount it")
	case errors.Is(err, fs.ErrPermission):
		return fail(op, path, kms.ErrDenied, err, "this user may not write to its directory", "give the directory to the user that runs this program")
	}
	return fail(op, path, kms.ErrUnavailable, err, err.Error(), "make it by hand: (umask 077; head -c 32 /dev/urandom > PATH)")
}
