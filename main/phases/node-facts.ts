import { z } from 'zod'
import { AppError } from '../../shared/errors/index.ts'
import type { PlanNode } from '../../shared/plan/index.ts'
import type { EdgeHost, LocalApiClient, LocalSettings } from '../appliance/index.ts'
import type { SshConnection } from '../ssh/index.ts'
import type { SiteNodeContext } from './site.ts'

/** One block device of the node, as `lsblk` tells it. */
export interface BlockDevice {
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly type: string
  readonly fileSystem: string | undefined
  readonly mountPoint: string | undefined
  readonly children: readonly BlockDevice[]
}

/** What SSH adds to the facts of the Local UI; `undefined` fields could not be read. */
export interface SshFacts {
  /** `active_boot`, `livecd_boot`, … (palette.md §6.3). */
  readonly bootState: string | undefined
  readonly hostName: string | undefined
  readonly disks: readonly BlockDevice[] | undefined
}

/** What was read from a node. */
export interface NodeFacts {
  readonly node: PlanNode
  /** `metadata.id` of the edge host. */
  readonly uid: string
  readonly edgeHost: EdgeHost
  readonly settings: LocalSettings
  /** Name of the cluster that the node belongs to already, if any. */
  readonly clusterName: string | undefined
  readonly ssh:
    { readonly kind: 'read'; readonly facts: SshFacts } | { readonly kind: 'closed'; readonly reason: string }
}

/** Reads everything about a node that later phases decide upon. */
export async function readNodeFacts(context: SiteNodeContext): Promise<NodeFacts> {
  const { node, services, signal } = context
  const client = await services.nodes.localApi(context, node)
  const [edgeHost, settings, clusterName] = await Promise.all([
    client.edgeHost({ signal }),
    client.settings({ signal }),
    clusterNameOf(client, signal),
  ])
  const uid = edgeHost.metadata?.id
  if (uid === undefined || uid === '') {
    throw new AppError({
      code: 'BAD_ANSWER',
      title: `${node.name} does not tell the id of its edge host.`,
      detail: 'GET /v1/edge-mgmt/edgehosts/current has no metadata.id.',
      remedies: ['The agent may still be starting; go on with --resume in a few minutes.'],
      isTransient: true,
    })
  }
  const access = await services.nodes.ssh(context, node)
  const ssh: NodeFacts['ssh'] =
    access.kind === 'open'
      ? { kind: 'read', facts: await readSshFacts(access.connection, signal) }
      : { kind: 'closed', reason: access.reason }
  return { node, uid, edgeHost, settings, clusterName, ssh }
}

/** The definition is on the host that created the cluster only; its members know the details. */
async function clusterNameOf(client: LocalApiClient, signal: AbortSignal): Promise<string | undefined> {
  const cluster = (await client.cluster({ signal })) ?? (await client.clusterDetails({ signal }))
  return cluster === undefined ? undefined : (cluster.metadata?.name ?? '(without a name)')
}

async function readSshFacts(connection: SshConnection, signal: AbortSignal): Promise<SshFacts> {
  const read = async (command: string): Promise<string | undefined> => {
    const result = await connection.exec(command, { signal, timeoutMilliseconds: 20_000 })
    return result.exitCode === 0 ? result.stdout.trim() : undefined
  }
  const bootState = await read('kairos-agent state get boot')
  const hostName = await read('hostname')
  const disks = await read('lsblk -b -J -o NAME,PATH,SIZE,TYPE,FSTYPE,MOUNTPOINT')
  return { bootState, hostName, disks: disks === undefined ? undefined : parseBlockDevices(disks) }
}

const deviceSchema = z.object({
  name: z.string(),
  path: z.string().nullish(),
  // util-linux prints numbers since 2.33 and strings before.
  size: z.union([z.number(), z.string().regex(/^\d+$/).transform(Number)]).nullish(),
  type: z.string().nullish(),
  fstype: z.string().nullish(),
  mountpoint: z.string().nullish(),
  get children() {
    return z.array(deviceSchema).nullish()
  },
})

/** Reads the output of `lsblk -b -J`; `undefined` when it is something else. */
export function parseBlockDevices(text: string): BlockDevice[] | undefined {
  try {
    const parsed = z.object({ blockdevices: z.array(deviceSchema) }).safeParse(JSON.parse(text))
    return parsed.data?.blockdevices.map(toBlockDevice)
  } catch {
    return undefined
  }
}

function toBlockDevice(device: z.infer<typeof deviceSchema>): BlockDevice {
  return {
    path: device.path ?? `/dev/${device.name}`,
    size: device.size ?? 0,
    type: device.type ?? 'unknown',
    fileSystem: device.fstype ?? undefined,
    mountPoint: device.mountpoint ?? undefined,
    children: (device.children ?? []).map(toBlockDevice),
  }
}
