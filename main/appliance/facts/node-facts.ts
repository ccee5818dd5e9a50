import type { Fact } from './fact.ts'

/**
 * What a node tells about itself over SSH. Sizes in bytes, times in milliseconds, MAC addresses in lower case with
 * colons, names of interfaces and units as the operating system writes them. A list that is empty was read and is empty.
 */
export interface HostFacts {
  readonly boot: BootFacts
  readonly os: OsFacts
  readonly hostName: {
    /** That of the running kernel. */
    readonly current: Fact<string>
    /** /etc/hostname; an installed node makes it anew at each start. */
    readonly static: Fact<string>
  }
  readonly identity: IdentityFacts
  readonly cpu: CpuFacts
  readonly memory: MemoryFacts
  /** Devices that nothing is below of: disks, drives, loop devices. */
  readonly disks: Fact<readonly Disk[]>
  readonly network: NetworkFacts
  readonly clock: ClockFacts
  readonly services: Fact<readonly Service[]>
  readonly listening: Fact<readonly ListeningSocket[]>
  /** File systems that the appliance writes to. */
  readonly space: Readonly<Record<'/' | '/usr/local' | '/oem', Fact<FileSystemSpace>>>
}

export interface BootFacts {
  /** What kairos-agent says, or the command line of the kernel where it says nothing; `unread` when they differ. */
  readonly state: Fact<BootState>
  readonly stateByAgent: Fact<BootState>
  readonly stateByCommandLine: Fact<BootState>
  /** Without passwords and tokens. */
  readonly commandLine: Fact<string>
  /** Names in /run/cos, e.g. `active_mode`, `live_mode`. */
  readonly marks: Fact<readonly string[]>
  /** Images of the system on its state partition, e.g. `active.img`. */
  readonly images: Fact<readonly string[]>
  readonly isUefi: Fact<boolean>
  readonly secureBoot: Fact<SecureBoot>
  /** Changes with every start of the kernel. */
  readonly bootId: Fact<string>
  readonly uptimeMs: Fact<number>
}

/** Words of Kairos (palette.md §6.3). */
export type BootState =
  'active_boot' | 'passive_boot' | 'recovery_boot' | 'livecd_boot' | 'autoreset_boot' | 'unknown'

/** `setup-mode`: off, and no keys are enrolled. `not-uefi`: there is no such thing. */
export type SecureBoot = 'enabled' | 'disabled' | 'setup-mode' | 'not-uefi'

export interface OsFacts {
  /** `ID` of os-release, e.g. `ubuntu`. */
  readonly id: Fact<string>
  /** `VERSION_ID`, e.g. `22.04`. */
  readonly version: Fact<string>
  readonly prettyName: Fact<string>
  /** All of os-release and kairos-release, e.g. `KAIROS_VERSION`. */
  readonly release: Fact<ReadonlyMap<string, string>>
  /** e.g. `5.15.0-139-generic` */
  readonly kernelRelease: Fact<string>
  /** As the API writes it: `amd64`, `arm64`; else as the kernel does. */
  readonly architecture: Fact<string>
}

export interface IdentityFacts {
  readonly machineId: Fact<string>
  /** SMBIOS, lower case. Readable by root only. */
  readonly productUuid: Fact<string>
  readonly serialNumber: Fact<string>
  readonly vendor: Fact<string>
  readonly product: Fact<string>
  readonly firmwareVersion: Fact<string>
  /** Word of systemd-detect-virt, e.g. `kvm`, `vmware`; `none` on bare metal. */
  readonly virtualization: Fact<string>
}

export interface CpuFacts {
  /** Logical processors that programs may use. */
  readonly count: Fact<number>
  readonly model: Fact<string>
  /** e.g. `avx`, `avx2`. */
  readonly flags: Fact<readonly string[]>
}

export interface MemoryFacts {
  /** What firmware and kernel have left of it (MemTotal). */
  readonly total: Fact<number>
  /** Sum of the modules by SMBIOS. Needs root. */
  readonly installed: Fact<number>
  readonly available: Fact<number>
  readonly swap: Fact<number>
}

/** A block device and what is made of it (lsblk). A device of several parents (RAID, multipath) is below each of them. */
export interface BlockDevice {
  readonly path: string
  readonly kernelName: string
  readonly size: number
  /** `disk`, `part`, `lvm`, `crypt`, `raid1`, `mpath`, `loop`, `rom`, … */
  readonly type: string
  /** As udev saw it; on a whole disk `signatures` is the better witness. */
  readonly fileSystem: string | undefined
  readonly label: string | undefined
  /** `gpt`, `dos` */
  readonly partitionTable: string | undefined
  readonly mountPoints: readonly string[]
  readonly children: readonly BlockDevice[]
}

export interface Disk extends BlockDevice {
  readonly model: string | undefined
  readonly vendor: string | undefined
  readonly serial: string | undefined
  readonly wwn: string | undefined
  /** `nvme`, `sata`, `sas`, `usb`, `virtio`, … */
  readonly transport: string | undefined
  readonly isRotational: boolean | undefined
  readonly isReadOnly: boolean | undefined
  readonly isRemovable: boolean | undefined
  /** Paths in /dev/disk/by-id and /dev/disk/by-path. */
  readonly links: Fact<readonly string[]>
  /** What the disk itself begins with: partition tables, file systems, RAID and LVM members. Needs root. */
  readonly signatures: Fact<readonly Signature[]>
  /** SMART. Needs root. */
  readonly health: Fact<'passed' | 'failing'>
  /** Name of the multipath device that this disk is a path of; `undefined` when it is none. */
  readonly multipath: Fact<string | undefined>
}

export interface Signature {
  /** e.g. `gpt`, `dos`, `ext4`, `LVM2_member`, `linux_raid_member`. */
  readonly type: string
  readonly label: string | undefined
  readonly uuid: string | undefined
}

export interface NetworkFacts {
  readonly interfaces: Fact<readonly NetworkInterface[]>
  /** Unicast routes and their like, all tables. IPv4. */
  readonly routes: Fact<readonly Route[]>
  /** Name servers that are really asked: not the address of the resolver on the node itself. */
  readonly dnsServers: Fact<readonly string[]>
  readonly searchDomains: Fact<readonly string[]>
}

export interface NetworkInterface {
  readonly name: string
  readonly index: number
  /** `undefined` for one that has none (loopback, tunnels). */
  readonly mac: string | undefined
  /** With a device of its own: a card, or what a hypervisor shows as one. */
  readonly isPhysical: boolean
  readonly driver: string | undefined
  readonly mtu: number
  /** e.g. `up`, `down`, `unknown`. */
  readonly operationalState: string
  /** A cable with something at its other end. Not told of one that is switched off. */
  readonly hasCarrier: Fact<boolean>
  readonly speedMegabits: Fact<number>
  readonly duplex: Fact<'full' | 'half'>
  readonly addresses: Fact<readonly InterfaceAddress[]>
  readonly link: Fact<LinkDetails>
  /** What systemd-networkd got by DHCP; `undefined`: nothing. */
  readonly lease: Fact<DhcpLease | undefined>
}

export interface LinkDetails {
  /** Switched on. */
  readonly isUp: boolean
  /** `vlan`, `bond`, `bridge`, `veth`, …; `undefined` for a card. */
  readonly kind: string | undefined
  readonly vlanId: number | undefined
  /** Bond or bridge that it is part of. */
  readonly master: string | undefined
  /** What a VLAN or veth stands on. */
  readonly parent: string | undefined
  /** Before a bond gave it another one. */
  readonly permanentMac: string | undefined
  /** Largest MTU that the driver takes. */
  readonly maxMtu: number | undefined
  readonly receiveErrors: number | undefined
  readonly transmitErrors: number | undefined
  readonly receiveDropped: number | undefined
  readonly transmitDropped: number | undefined
}

export interface InterfaceAddress {
  readonly family: 'inet' | 'inet6'
  readonly address: string
  readonly prefix: number
  /** `global`, `link`, `host` */
  readonly scope: string | undefined
  /** With an end: DHCP or router advertisement. */
  readonly isDynamic: boolean
  /** Until it ends; `undefined` when it does not, or that is not told. */
  readonly validForMs: number | undefined
}

export interface DhcpLease {
  readonly address: string | undefined
  readonly server: string | undefined
  readonly routers: readonly string[]
  readonly dnsServers: readonly string[]
  readonly ntpServers: readonly string[]
  /** `Infinity` for one without an end. */
  readonly lifetimeMs: number | undefined
}

export interface Route {
  /** CIDR; `0.0.0.0/0` is the default route. */
  readonly destination: string
  readonly gateway: string | undefined
  readonly interface: string | undefined
  /** `dhcp`, `static`, `kernel`, `boot`, … */
  readonly protocol: string | undefined
  readonly metric: number | undefined
  /** `main` or a name or number. */
  readonly table: string
  /** `unicast`, `blackhole`, `unreachable`, … */
  readonly type: string
}

export interface ClockFacts {
  /** Unix time of the node when it was asked. For a skew, `CollectedFacts` has the time around the whole call. */
  readonly epochMs: Fact<number>
  /** e.g. `Etc/UTC` */
  readonly timeZone: Fact<string>
  readonly utcOffsetMs: Fact<number>
  readonly isRtcLocalTime: Fact<boolean>
  /** Hardware clock minus system clock, to the second. */
  readonly rtcDifferenceMs: Fact<number>
  readonly isSynchronized: Fact<boolean>
  /** The time service is switched on. */
  readonly isNtpEnabled: Fact<boolean>
  readonly source: Fact<TimeSource>
}

/** Whom the node takes its time from. */
export interface TimeSource {
  readonly service: 'systemd-timesyncd' | 'chrony'
  readonly servers: readonly string[]
  /** The one in use now; `undefined`: none has answered yet. */
  readonly server: string | undefined
  readonly stratum: number | undefined
  /** System clock minus that of the server; `undefined` when the service does not tell. */
  readonly offsetMs: number | undefined
}

export interface Service {
  /** As asked, e.g. `stylus-agent.service`. */
  readonly unit: string
  readonly isInstalled: boolean
  /** `active`, `inactive`, `failed`, `activating`, … */
  readonly state: string
  /** e.g. `running`, `dead`, `auto-restart`. */
  readonly subState: string
  /** Started with the system: `enabled`, `disabled`, `masked`, …; `undefined` where systemd does not know. */
  readonly startMode: string | undefined
}

export interface ListeningSocket {
  /** `0.0.0.0` and `::` stand for all. */
  readonly address: string
  readonly port: number
  /** Only of one interface. */
  readonly interface: string | undefined
  /** Needs root. */
  readonly process: string | undefined
}

export interface FileSystemSpace {
  readonly size: number
  readonly available: number
  /** `/usr/local` has one of its own when this is `/usr/local`. */
  readonly mountPoint: string
}
