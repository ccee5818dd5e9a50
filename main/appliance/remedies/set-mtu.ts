import ipaddr from 'ipaddr.js'
import {
  changeSafely,
  fileDifference,
  networkFiles,
  readInterfaces,
  rollBackSeconds,
  type InterfaceSettings,
  type SystemInterface,
} from '../host-configuration/index.ts'
import type { NetworkInterfaceConfig } from '../index.ts'
import type { Remedy, RemedyContext, RemedyPlan } from './remedy.ts'

/** More than fits into any frame: it passes only when full frames do, or are cut as they have to be. */
const payload = 'x'.repeat(65_536)

/**
 * Sets the MTU of the interface that carries the address of a node, by a change that the node takes back by itself unless it
 * is reached over a new connection.
 */
export const setMtu: Remedy = {
  id: 'set-mtu',
  checkIds: ['net.mtu-equal', 'net.mtu-path'],
  isDestructive: false,
  plan: async (context) => (await look(context)).plan,
  async apply(context, plan) {
    if (plan.kind !== 'offered') return { kind: 'refused', reason: plan.reason }
    const { node, runner, clock, signal, reopen, localApi } = context
    const { plan: again, change } = await look(context)
    if (again.kind !== 'offered') return { kind: 'refused', reason: again.reason }
    if (change === undefined || reopen === undefined || again.seen !== plan.seen)
      return {
        kind: 'refused',
        reason: 'The interface is not as it was shown. Nothing was changed; look again.',
      }
    const { settings, config, hasApi } = change
    let isTold = false
    const outcome = await changeSafely({
      runner,
      change: { id: `m${String(clock.now())}`, settings, rollBackSeconds, isLasting: !hasApi },
      clock,
      signal,
      progress: () => undefined,
      reachThere: reopen,
      reachAnywhere: reopen,
      missing: async (there) => {
        const nic = interfaceOf(context, await readInterfaces(there, signal))
        if (nic?.mtu !== settings.mtu) return `the interface shows MTU ${String(nic?.mtu ?? 'unknown')}`
        const echo = await there.run('cat', [], { signal, deadlineSeconds: 10, input: payload })
        if (echo.kind !== 'ended' || echo.stdout !== payload) return 'full frames do not pass'
        if (hasApi && !isTold) await localApi?.setNetworkInterface(settings.name, config, { signal })
        isTold = true
        return undefined
      },
    })
    switch (outcome.kind) {
      case 'confirmed': {
        const { plan: after } = await look({ ...context, runner: await reopen(signal) })
        return after.kind === 'not-needed'
          ? { kind: 'done', seen: after.reason }
          : {
              kind: 'failed',
              reason: 'lines' in after ? `Read back: ${after.lines.join('; ')}` : after.reason,
            }
      }
      case 'rolled-back':
        return { kind: 'failed', reason: `${node.name} put its old MTU back: ${outcome.reason}` }
      case 'pending':
        return {
          kind: 'refused',
          reason: 'An earlier change of its network has not ended. Try again in a minute.',
        }
      case 'lost':
        return {
          kind: 'failed',
          reason: `${node.name} was not found again: ${outcome.lastSeen}. A restart brings its old settings back.`,
        }
    }
  },
}

interface MtuChange {
  readonly settings: InterfaceSettings
  /** The same for the agent, where it sets the network. */
  readonly config: NetworkInterfaceConfig
  readonly hasApi: boolean
}

async function look(context: RemedyContext): Promise<{ plan: RemedyPlan; change?: MtuChange }> {
  const { node, runner, signal, localApi } = context
  const mtu = context.mtu ?? node.nic.mtu ?? undefined
  const no = (reason: string): { plan: RemedyPlan } => ({ plan: { kind: 'not-offered', reason } })
  if (mtu === undefined)
    return no(`The plan does not say which MTU ${node.name} shall have: set nic.mtu of this node.`)
  const nic = interfaceOf(context, await readInterfaces(runner, signal))
  if (nic === undefined) return no(`No interface of ${node.name} has its address.`)
  if (nic.mtu === mtu)
    return { plan: { kind: 'not-needed', reason: `${nic.name} of ${node.name} has MTU ${String(mtu)}.` } }
  if (nic.setup === undefined || nic.setup === 'unmanaged' || nic.setup === 'linger')
    return no(
      `${nic.name} of ${node.name} is not managed by systemd-networkd: set the MTU where it is managed.`,
    )
  if (nic.kind !== 'plain') return no(`${nic.name} of ${node.name} is a bond or bridge, or belongs to one.`)
  if (context.reopen === undefined)
    return no(`${node.name} cannot be opened anew to see that it is still there.`)
  const [address = '', length = ''] = (nic.ip ?? '').split('/')
  const vlan = nic.vlanID === undefined ? undefined : Number(nic.vlanID)
  const isDhcp = nic.type === 'dhcp'
  const { primary, alternate } = node.dns ?? context.plan.site.dns
  // By DHCP the network gives them, unless the plan has set others.
  const planned = node.nic.mode === 'keep' ? [] : [primary, alternate].filter((one) => one !== null)
  const nameservers = isDhcp ? planned : nic.nameservers
  const common = { name: nic.name, mtu, vlan, nameservers }
  const settings: InterfaceSettings = isDhcp
    ? { mode: 'dhcp', ...common }
    : { mode: 'static', address, prefix: Number(length), gateway: nic.gateway, ...common }
  const network = await localApi?.networkInterfaces({ signal })
  const hasApi = network?.kind === 'supported'
  const config: NetworkInterfaceConfig = {
    type: isDhcp ? 'dhcp' : 'static',
    ...(isDhcp
      ? {}
      : { ip: address, subnet: ipaddr.IPv4.subnetMaskFromPrefixLength(Number(length)).toString() }),
    ...(isDhcp || nic.gateway === undefined ? {} : { gateway: nic.gateway }),
    ...(nameservers.length === 0 ? {} : { nameservers: [...nameservers] }),
    ...(nic.vlanID === undefined ? {} : { vlanID: nic.vlanID }),
    mtu,
  }
  const files = hasApi ? [] : networkFiles(settings)
  return {
    plan: {
      kind: 'offered',
      lines: [
        `${nic.name} of ${node.name}`,
        `-MTU ${String(nic.mtu ?? 'unknown')}`,
        `+MTU ${String(mtu)}`,
        ...files.flatMap(({ path, content }) => fileDifference(path, undefined, content)),
      ],
      seen: JSON.stringify({ settings, before: nic.mtu }),
    },
    change: { settings, config, hasApi },
  }
}

function interfaceOf(
  { node }: RemedyContext,
  interfaces: readonly SystemInterface[],
): SystemInterface | undefined {
  const own = [node.nic.address, node.address]
  return interfaces.find(({ ip }) => ip !== undefined && own.includes(ip.split('/')[0] ?? ''))
}
