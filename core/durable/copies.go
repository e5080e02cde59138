package durable

import (
	"errors"
	"fmt"
	"io/fs"
)

// Previous is what is added to a path for the copy that WriteKeeping keeps.
const Previous = ".prev"

// WriteKeeping replaces the file at path and keeps its previous content at
// path.prev. good tells whether some content is worth keeping: a damaged file
// never takes the place of a good copy, and when there is no good previous
// content, the new one is kept twice. So there are always two good files, and
// they share no disk block.
func WriteKeeping(d Disk, path string, data []byte, mode fs.FileMode, good func([]byte) bool) error {
	if old, err := d.ReadFile(path); err == nil && good(old) {
		if err := keep(d, path); err != nil {
			return err
		}
	}
	if err := Write(d, path, data, mode); err != nil {
		return err
	}
	if old, err := d.ReadFile(path + Previous); err == nil && good(old) {
		return nil
	}
	return Write(d, path+Previous, data, mode)
}

// keep gives path.prev the inode of path; Write then puts a new inode at path.
func keep(d Disk, path string) error {
	temp := path + Previous + ".new"
	if err := anew(d, temp, func() error { return d.Link(path, temp) }); err != nil {
		return fmt.Errorf("keep the previous %s: %w", path, err)
	}
	return d.Rename(temp, path+Previous)
}

// Read reads what WriteKeeping wrote. parse decodes and judges the content.
// When path itself is missing or damaged and the previous copy is good,
// damage says what was wrong, and err is nil. When neither can be used, err
// tells both reasons; it is fs.ErrNotExist only when neither file exists.
func Read[T any](d Disk, path string, parse func([]byte) (T, error)) (value T, damage, err error) {
	value, damage = readOne(d, path, parse)
	if damage == nil {
		return value, nil, nil
	}
	value, err = readOne(d, path+Previous, parse)
	switch {
	case err == nil:
		return value, damage, nil
	case errors.Is(err, fs.ErrNotExist):
		return value, nil, damage
	case errors.Is(damage, fs.ErrNotExist): // not "does not exist": something is there, and damaged
		return value, nil, err
	}
	return value, nil, errors.Join(damage, err)
}

func readOne[T any](d Disk, path string, parse func([]byte) (T, error)) (T, error) {
	data, err := d.ReadFile(path)
	if err != nil {
		var none T
		return none, err
	}
	value, err := parse(data)
	if err != nil {
		return value, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}
