package media

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"strings"
	"testing"
)

// stub is a minimal EFI program: one section, and room for more headers.
func stub(machine uint16, headers uint32) []byte {
	var b bytes.Buffer
	b.WriteString("MZ")
	b.Write(make([]byte, 0x3a))
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	put(uint32(0x40))
	b.WriteString("PE\x00\x00")
	put(pe.FileHeader{Machine: machine, NumberOfSections: 1, SizeOfOptionalHeader: 240})
	put(pe.OptionalHeader64{Magic: 0x20b, SectionAlignment: 4096, FileAlignment: 512, SizeOfImage: 8192, SizeOfHeaders: headers, CheckSum: 7, NumberOfRvaAndSizes: 16})
	put(pe.SectionHeader32{Name: [8]uint8{'.', 't', 'e', 'x', 't'}, VirtualSize: 16, VirtualAddress: 4096, SizeOfRawData: 512, PointerToRawData: headers})
	b.Write(make([]byte, int(headers)-b.Len()))
	return append(b.Bytes(), make([]byte, 512+700)...) // and something for debuggers
}

func TestUKI(t *testing.T) {
	big := bytes.Repeat([]byte("kernel"), 5000)
	out, err := UKI(stub(pe.IMAGE_FILE_MACHINE_AMD64, 1024), []Section{{".cmdline", []byte("quiet")}, {".linux", big}, {".initrd", []byte("i")}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := pe.NewFile(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	end, next := uint32(0), f.Sections[0].Offset
	for _, s := range f.Sections {
		if s.VirtualAddress < end || s.VirtualAddress%4096 != 0 || s.Offset%512 != 0 {
			t.Errorf("%s is at %#x (in the file %#x), behind %#x", s.Name, s.VirtualAddress, s.Offset, end)
		}
		if s.Offset != next {
			t.Errorf("%s is at %#x in the file, with a gap behind %#x: its signature would not hold", s.Name, s.Offset, next)
		}
		end, next = s.VirtualAddress+s.VirtualSize, s.Offset+s.Size
	}
	head := f.OptionalHeader.(*pe.OptionalHeader64)
	if head.SizeOfImage < end || head.SizeOfImage%4096 != 0 || head.CheckSum != 0 {
		t.Errorf("size of image %#x, end %#x, checksum %d", head.SizeOfImage, end, head.CheckSum)
	}
	if got, _ := f.Section(".linux").Data(); !bytes.HasPrefix(got, big) || f.Section(".linux").VirtualSize != uint32(len(big)) {
		t.Error(".linux is not what was put in")
	}
}

func TestUKIRefused(t *testing.T) {
	for name, c := range map[string]struct {
		stub     []byte
		sections []Section
		says     string
	}{
		"another architecture": {stub(pe.IMAGE_FILE_MACHINE_ARM64, 1024), nil, "the image is for x86-64"},
		"no room":              {stub(pe.IMAGE_FILE_MACHINE_AMD64, 512), []Section{{".a", []byte("a")}, {".b", []byte("b")}, {".c", []byte("c")}, {".d", []byte("d")}}, "no room for 4 more"},
		"nothing in it":        {stub(pe.IMAGE_FILE_MACHINE_AMD64, 1024), []Section{{".linux", nil}}, `".linux" of 0 bytes`},
		"long name":            {stub(pe.IMAGE_FILE_MACHINE_AMD64, 1024), []Section{{".abcdefgh", []byte("a")}}, "cannot be"},
		"no program":           {[]byte("nothing"), nil, "EFI stub"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := UKI(c.stub, c.sections); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}
