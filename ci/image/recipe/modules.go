package recipe

// EarlyModules are what PID 1 loads to reach the base: they are in the
// initramfs itself, with what they depend on.
var EarlyModules = []string{
	"kernel/drivers/block/loop.ko",
	"kernel/fs/overlayfs/overlay.ko",
	"kernel/fs/squashfs/squashfs.ko",
}

// Modules are the folders and files of the kernel's modules that the base has;
// "-" takes away. Servers, PCs and virtual machines boot with these; what the
// drivers want as firmware is not free and not here.
var Modules = []string{
	// disks, and what they hang on
	"kernel/block/", "kernel/drivers/ata/", "kernel/drivers/nvme/", "kernel/drivers/scsi/", "kernel/drivers/message/", "kernel/drivers/block/",
	"kernel/drivers/mmc/", "kernel/drivers/md/", "kernel/drivers/pci/", "kernel/drivers/ufs/", "kernel/drivers/firmware/",
	"-kernel/drivers/block/aoe/", "-kernel/drivers/block/drbd/", "-kernel/drivers/block/pktcdvd.ko", "-kernel/drivers/ata/pata_", "-kernel/drivers/block/floppy.ko",
	"-kernel/drivers/scsi/pcmcia/", "-kernel/drivers/scsi/bfa/", "-kernel/drivers/scsi/aic94xx/", "-kernel/drivers/scsi/aic7xxx/", "-kernel/drivers/scsi/qla4xxx/", "-kernel/drivers/scsi/csiostor/",
	// virtual machines
	"kernel/drivers/virtio/", "kernel/drivers/hv/", "kernel/drivers/xen/", "kernel/drivers/vhost/", "kernel/drivers/char/virtio_console.ko", "kernel/drivers/misc/vmw_balloon.ko", "kernel/drivers/misc/vmw_vmci/",
	"kernel/arch/x86/kvm/", "kernel/virt/", "kernel/drivers/vfio/", "kernel/drivers/firmware/qemu_fw_cfg.ko", "kernel/drivers/iommu/", "kernel/drivers/misc/pvpanic/",
	// network
	"kernel/drivers/net/ethernet/", "-kernel/drivers/net/ethernet/mellanox/mlxsw/", "-kernel/drivers/net/ethernet/netronome/", "-kernel/drivers/net/ethernet/8390/", "-kernel/drivers/net/ethernet/chelsio/",
	"-kernel/drivers/net/ethernet/cavium/", "-kernel/drivers/net/ethernet/sfc/", "-kernel/drivers/net/ethernet/dec/", "-kernel/drivers/net/ethernet/sun/",
	"kernel/drivers/net/phy/", "kernel/drivers/net/mdio/", "kernel/drivers/net/pcs/", "kernel/drivers/net/usb/", "kernel/drivers/net/hyperv/", "kernel/drivers/net/vmxnet3/", "kernel/drivers/net/xen-netfront.ko",
	"kernel/drivers/net/bonding/", "kernel/drivers/net/team/", "kernel/drivers/net/vxlan/", "kernel/drivers/net/wireguard/", "kernel/drivers/net/ipvlan/",
	"kernel/drivers/net/dummy.ko", "kernel/drivers/net/geneve.ko", "kernel/drivers/net/ifb.ko", "kernel/drivers/net/macvlan.ko", "kernel/drivers/net/macvtap.ko", "kernel/drivers/net/macsec.ko", "kernel/drivers/net/mii.ko",
	"kernel/drivers/net/net_failover.ko", "kernel/drivers/net/netconsole.ko", "kernel/drivers/net/nlmon.ko", "kernel/drivers/net/tap.ko", "kernel/drivers/net/tun.ko", "kernel/drivers/net/veth.ko", "kernel/drivers/net/virtio_net.ko", "kernel/drivers/net/vrf.ko", "kernel/drivers/net/vsockmon.ko",
	"kernel/net/802/", "kernel/net/8021q/", "kernel/net/bridge/", "kernel/net/core/", "kernel/net/ipv4/", "kernel/net/ipv6/", "kernel/net/llc/", "kernel/net/netfilter/", "kernel/net/netlink/", "kernel/net/nsh/", "kernel/net/openvswitch/",
	"kernel/net/packet/", "kernel/net/psample/", "kernel/net/sched/", "kernel/net/tls/", "kernel/net/unix/", "kernel/net/vmw_vsock/", "kernel/net/xfrm/", "kernel/net/9p/", "kernel/net/mpls/", "kernel/net/xdp/", "kernel/net/key/",
	// file systems
	"kernel/fs/ext4/", "kernel/fs/jbd2/", "kernel/fs/fat/", "kernel/fs/fuse/", "kernel/fs/isofs/", "kernel/fs/nls/", "kernel/fs/overlayfs/", "kernel/fs/squashfs/", "kernel/fs/autofs/", "kernel/fs/binfmt_misc.ko", "kernel/fs/configfs/",
	"kernel/fs/efivarfs/", "kernel/fs/pstore/", "kernel/fs/efi-pstore.ko", "kernel/fs/9p/", "kernel/fs/mbcache.ko", "kernel/fs/quota/", "kernel/fs/netfs/", "kernel/fs/fscache/",
	// what people and watchdogs touch
	"kernel/drivers/usb/core/", "kernel/drivers/usb/common/", "kernel/drivers/usb/host/", "kernel/drivers/usb/storage/", "kernel/drivers/usb/roles/", "kernel/drivers/usb/typec/ucsi/", "kernel/drivers/usb/class/cdc-acm.ko",
	"kernel/drivers/usb/serial/usbserial.ko", "kernel/drivers/usb/serial/ftdi_sio.ko", "kernel/drivers/usb/serial/pl2303.ko", "kernel/drivers/usb/serial/cp210x.ko",
	"kernel/drivers/hid/hid.ko", "kernel/drivers/hid/hid-generic.ko", "kernel/drivers/hid/hid-apple.ko", "kernel/drivers/hid/hid-logitech-dj.ko", "kernel/drivers/hid/hid-logitech-hidpp.ko", "kernel/drivers/hid/hid-microsoft.ko", "kernel/drivers/hid/hid-hyperv.ko", "kernel/drivers/hid/usbhid/",
	"kernel/drivers/input/keyboard/", "kernel/drivers/input/serio/", "kernel/drivers/input/evdev.ko", "kernel/drivers/acpi/", "kernel/drivers/watchdog/", "kernel/drivers/tty/", "kernel/drivers/rtc/",
	"kernel/drivers/mfd/lpc_ich.ko", "kernel/drivers/i2c/busses/i2c-i801.ko", "kernel/drivers/i2c/busses/i2c-piix4.ko", "kernel/drivers/i2c/i2c-smbus.ko", "kernel/drivers/char/ipmi/", "kernel/drivers/char/hw_random/", "kernel/drivers/char/tpm/", "kernel/drivers/char/nvram.ko",
	"kernel/drivers/cpufreq/", "kernel/drivers/hwmon/coretemp.ko", "kernel/drivers/hwmon/k10temp.ko", "kernel/drivers/edac/", "kernel/drivers/dma/", "kernel/drivers/dca/", "kernel/drivers/thermal/", "kernel/drivers/nvdimm/", "kernel/drivers/dax/", "kernel/drivers/powercap/",
	// screens of servers and virtual machines
	"kernel/drivers/gpu/drm/tiny/", "kernel/drivers/gpu/drm/ast/", "kernel/drivers/gpu/drm/mgag200/", "kernel/drivers/gpu/drm/virtio/", "kernel/drivers/gpu/drm/hyperv/", "kernel/drivers/video/fbdev/hyperv_fb.ko",
	// ciphers and checksums
	"kernel/crypto/", "kernel/arch/x86/crypto/", "kernel/lib/", "-kernel/lib/test_", "-kernel/drivers/tty/n_gsm.ko",
}
