import { z } from 'zod'
import { macAddressSchema } from '../../shared/addresses/index.ts'

const day = 24 * 3600

/** What a simulated machine is like; each default is that of a healthy node. */
export const machineSchema = z.strictObject({
  cpus: z.int().min(1).default(8),
  cpuFlags: z.array(z.string().min(1)).default(['fpu', 'sse4_2', 'aes', 'avx', 'avx2', 'hypervisor']),
  architecture: z.enum(['amd64', 'arm64']).default('amd64'),
  memoryGibibytes: z.number().positive().default(32),
  firmware: z.enum(['uefi', 'bios']).default('uefi'),
  secureBoot: z.boolean().default(false),
  /** Word of systemd-detect-virt; `none`: bare metal. */
  hypervisor: z.string().min(1).default('vmware'),
  bootState: z.enum(['active_boot', 'passive_boot', 'recovery_boot', 'livecd_boot']).default('active_boot'),
  /** Two machines with the same one are clones. */
  edgeHostId: z.string().min(1).optional(),
  productUuid: z.guid().toLowerCase().optional(),
  agentVersion: z.string().min(1).optional(),
  /** Processors that the Local UI tells; default is the truth. */
  cpusByLocalUi: z.int().min(1).optional(),
  storageDrive: z
    .strictObject({
      /** Another one than the plan says, e.g. `/dev/nvme1n1`. */
      path: z.string().startsWith('/dev/').optional(),
      /** What it begins with, e.g. `LVM2_member`. */
      signatures: z.array(z.string().min(1)).default([]),
      /** `none`: the disk tells nothing of its health. */
      health: z.enum(['passed', 'failing', 'none']).default('passed'),
      mountPoint: z.string().startsWith('/').nullable().default(null),
      /** Name of the multipath device that it is a path of. */
      multipath: z.string().min(1).nullable().default(null),
      isRemovable: z.boolean().default(false),
      isReadOnly: z.boolean().default(false),
    })
    .prefault({}),
  /** Besides the two of the appliance; 10 GB each. */
  furtherDisks: z.int().min(0).max(200).default(0),
  nic: z
    .strictObject({
      mac: macAddressSchema.optional(),
      mtu: z.int().min(68).max(65_535).default(1500),
      /** `null`: the driver does not tell, as that of virtio. */
      speedMegabits: z.int().positive().nullable().default(10_000),
      hasCarrier: z.boolean().default(true),
      receiveErrors: z.int().min(0).default(0),
      /** Of DHCP. */
      leaseSeconds: z
        .int()
        .positive()
        .default(7 * day),
    })
    .prefault({}),
  clock: z
    .strictObject({
      /** Ahead of the lab's time; negative: behind. */
      offsetSeconds: z.number().default(0),
      timeZone: z.string().min(1).default('Etc/UTC'),
      isSynchronized: z.boolean().default(true),
    })
    .prefault({}),
})
export type Machine = z.infer<typeof machineSchema>
