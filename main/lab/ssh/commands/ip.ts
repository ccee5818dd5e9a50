import { formatAddress, parseAddress, parseNetwork } from '../../../../shared/plan/ipv4.ts'
import type { Command, CommandCall } from '../shell.ts'
import { usage } from './arguments.ts'

/** iproute2 as far as installers use it: one interface, IPv4. */
export const ip: Command = async (call) => {
  const firstWord = call.args.findIndex((arg) => !arg.startsWith('-'))
  const options = call.args.slice(0, firstWord === -1 ? call.args.length : firstWord)
  const [object = '', ...words] = firstWord === -1 ? [] : call.args.slice(firstWord)
  const form: Form = {
    isJson: options.some((option) => /^-(j|json|-json)$/.test(option)),
    hasStatistics: options.some((option) => /^-(s|stats|statistics)$/.test(option)),
  }
  const known = objects.find(({ names }) => object !== '' && names.some((name) => name.startsWith(object)))
  if (known === undefined) return await usage(call, `Object "${object}" is unknown, try "ip help".`, 1)
  return await known.run(call, words, form)
}

interface Form {
  isJson: boolean
  hasStatistics: boolean
}

type Subcommand = (call: CommandCall, words: readonly string[], form: Form) => Promise<number>

const isShow = (word: string) => /^(show|sho|sh|s|list|lst|ls|l)$/.test(word)

const address: Subcommand = async (call, words, form) => {
  const [verb = 'show', ...rest] = words
  if (/^(add|a)$/.test(verb)) return await changeAddress(call, 'add', rest)
  if (/^(replace|change|chg)$/.test(verb)) return await changeAddress(call, 'replace', rest)
  if (/^(del|delete|d)$/.test(verb)) return await changeAddress(call, 'del', rest)
  const wanted = deviceOf(isShow(verb) ? rest : words)
  const all = links(call).map((link) => ({ ...link, addr_info: addressesOf(call, link.ifname) }))
  const shown = all.filter((link) => wanted === undefined || link.ifname === wanted)
  if (shown.length === 0) return await usage(call, `Device "${wanted ?? ''}" does not exist.`, 1)
  if (form.isJson) await call.out(`${JSON.stringify(shown)}\n`)
  else {
    for (const link of shown) {
      const lines = link.addr_info.map(
        (one) => `    inet ${one.local}/${one.prefixlen} scope ${one.scope} ${one.label}\n`,
      )
      await call.out(
        `${link.ifindex}: ${link.ifname}: <${link.flags.join(',')}> mtu ${link.mtu} state ${link.operstate}\n    link/${link.link_type} ${link.address} brd ${link.broadcast}\n${lines.join('')}`,
      )
    }
  }
  return 0
}

const link: Subcommand = async (call, words, form) => {
  const [verb = 'show', ...rest] = words
  const wanted = deviceOf(isShow(verb) ? rest : words)
  const shown = links(call).filter((one) => wanted === undefined || one.ifname === wanted)
  if (shown.length === 0) return await usage(call, `Device "${wanted ?? ''}" does not exist.`, 1)
  await call.out(
    form.isJson
      ? `${JSON.stringify(shown)}\n`
      : shown.map((one) => `${one.ifindex}: ${one.ifname}: mtu ${one.mtu} state ${one.operstate}\n`).join(''),
  )
  return 0
}

const route: Subcommand = async (call, words, form) => {
  const [verb = 'show', ...rest] = words
  if (/^(get|g)$/.test(verb)) return await routeGet(call, rest, form)
  const { nic } = call.node
  const routes = [
    {
      dst: 'default',
      gateway: nic.gateway,
      dev: nic.name,
      protocol: nic.mode === 'dhcp' ? 'dhcp' : 'static',
      flags: [],
    },
    {
      dst: networkOf(call),
      dev: nic.name,
      protocol: 'kernel',
      scope: 'link',
      prefsrc: nic.address,
      flags: [],
    },
  ]
  const wanted = (isShow(verb) ? rest : words).includes('default') ? routes.slice(0, 1) : routes
  await call.out(form.isJson ? `${JSON.stringify(wanted)}\n` : `default via ${nic.gateway} dev ${nic.name}\n`)
  return 0
}

const routeGet: Subcommand = async (call, [target = ''], form) => {
  const { node } = call
  const { segment } = call.services
  const number = parseAddress(target)
  if (number === undefined)
    return await usage(call, `Error: any valid prefix is expected rather than "${target}".`, 1)
  const network = parseNetwork(networkOf(call))
  const common = { prefsrc: node.nic.address, flags: [], uid: call.user === 'root' ? 0 : 1000 }
  const found = segment.hasAddress(node, target)
    ? { type: 'local', dst: target, dev: 'lo', ...common, prefsrc: target, cache: ['local'] }
    : number === network?.last
      ? { type: 'broadcast', dst: target, dev: node.nic.name, ...common, cache: ['local', 'brd'] }
      : segment.isOnLink(node, target)
        ? { dst: target, dev: node.nic.name, ...common, cache: [] }
        : { dst: target, gateway: node.nic.gateway, dev: node.nic.name, ...common, cache: [] }
  const via = 'gateway' in found ? ` via ${found.gateway}` : ''
  await call.out(
    form.isJson
      ? `${JSON.stringify([found])}\n`
      : `${target}${via} dev ${found.dev} src ${found.prefsrc} uid ${common.uid} \n    cache \n`,
  )
  return 0
}

const neighbour: Subcommand = async (call, words, form) => {
  const [verb = 'show', ...rest] = words
  if (/^f(l(u(s(h)?)?)?)?$/.test(verb)) return await flushNeighbours(call, rest)
  if (!isShow(verb) && verb !== 'dev' && verb !== 'to')
    return await usage(call, `Command "${verb}" is unknown, try "ip neigh help".`, 255)
  const { nic } = call.node
  const selectors = isShow(verb) ? rest : words
  const wanted = valueOf(selectors, 'dev')
  const target = valueOf(selectors, 'to')
  if (wanted !== undefined && wanted !== nic.name && wanted !== 'lo')
    return await usage(call, `Cannot find device "${wanted}"`, 1)
  const known = wanted === 'lo' ? [] : call.services.segment.neighboursOf(call.node).list(target)
  if (form.isJson) {
    const entries = known.map((one) => ({
      dst: one.address,
      // With `dev` the interface is not repeated.
      ...(wanted === undefined ? { dev: nic.name } : {}),
      ...(one.mac === null ? {} : { lladdr: one.mac }),
      ...(form.hasStatistics
        ? {
            used: one.usedBefore,
            confirmed: one.confirmedBefore,
            updated: one.confirmedBefore,
            probes: one.probes,
          }
        : {}),
      state: [one.state],
    }))
    await call.out(`${JSON.stringify(entries)}\n`)
  } else {
    for (const one of known) {
      const device = wanted === undefined ? ` dev ${nic.name}` : ''
      await call.out(`${one.address}${device} ${one.mac === null ? '' : `lladdr ${one.mac} `}${one.state} \n`)
    }
  }
  return 0
}

/** Messages and exit codes of iproute2 6.1 (measured). */
async function flushNeighbours(call: CommandCall, selectors: readonly string[]): Promise<number> {
  if (selectors.length === 0) return await usage(call, 'Flush requires arguments.', 1)
  const { name } = call.node.nic
  const device = valueOf(selectors, 'dev')
  const target = valueOf(selectors, 'to')
  if (device !== undefined && device !== name && device !== 'lo')
    return await usage(call, `Cannot find device "${device}"`, 1)
  if (device === 'lo') return 0
  const cache = call.services.segment.neighboursOf(call.node)
  const known = cache.list(target)
  if (known.length > 0 && call.user !== 'root')
    return await usage(call, 'Failed to send flush request: Operation not permitted\nFlush terminated', 1)
  for (const one of known) cache.forget(one.address)
  return 0
}

const objects: { names: string[]; run: Subcommand }[] = [
  { names: ['address'], run: address },
  { names: ['link'], run: link },
  { names: ['route'], run: route },
  { names: ['neighbour', 'neighbor'], run: neighbour },
]

function valueOf(words: readonly string[], key: string): string | undefined {
  const position = words.indexOf(key)
  return position === -1 ? undefined : words[position + 1]
}

/** `dev NAME`, or the name alone. */
function deviceOf(words: readonly string[]): string | undefined {
  return valueOf(words, 'dev') ?? words.find((word) => !isShow(word))
}

function links(call: CommandCall) {
  const { nic } = call.node
  return [
    {
      ifindex: 1,
      ifname: 'lo',
      flags: ['LOOPBACK', 'UP', 'LOWER_UP'],
      mtu: 65536,
      qdisc: 'noqueue',
      operstate: 'UNKNOWN',
      group: 'default',
      txqlen: 1000,
      link_type: 'loopback',
      address: '00:00:00:00:00:00',
      broadcast: '00:00:00:00:00:00',
    },
    {
      ifindex: 2,
      ifname: nic.name,
      flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
      mtu: nic.mtu,
      qdisc: 'mq',
      operstate: 'UP',
      group: 'default',
      txqlen: 1000,
      link_type: 'ether',
      address: nic.mac,
      broadcast: 'ff:ff:ff:ff:ff:ff',
    },
  ]
}

/** What iproute2 prints for "for ever". */
const forever = 0xffffffff

function addressesOf(call: CommandCall, name: string) {
  const { nic, raised } = call.node
  if (name === 'lo') {
    return [{ family: 'inet', local: '127.0.0.1', prefixlen: 8, scope: 'host', label: 'lo', ...lifetimes() }]
  }
  const now = call.services.now()
  const second = call.services.segment.simulated(1000)
  const seconds = (until: number) =>
    until === Infinity ? forever : Math.max(0, Math.ceil((until - now) / second))
  return [
    {
      family: 'inet',
      local: nic.address,
      prefixlen: nic.prefix,
      scope: 'global',
      dynamic: nic.mode === 'dhcp',
      label: nic.name,
      ...lifetimes(),
    },
    ...[...raised].map(([local, { prefix, label, validUntil, preferredUntil }]) => ({
      family: 'inet',
      local,
      prefixlen: prefix,
      scope: 'global',
      ...(preferredUntil <= now ? { deprecated: true } : {}),
      ...(validUntil === Infinity ? {} : { dynamic: true }),
      label,
      ...lifetimes(seconds(validUntil), seconds(preferredUntil)),
    })),
  ]
}

function lifetimes(valid = forever, preferred = valid) {
  return { valid_life_time: valid, preferred_life_time: preferred }
}

async function changeAddress(
  call: CommandCall,
  verb: 'add' | 'replace' | 'del',
  words: readonly string[],
): Promise<number> {
  const { node } = call
  const [first = '', ...rest] = words[0] === 'local' ? words.slice(1) : words
  const wanted = parseNetwork(first.includes('/') ? first : `${first}/32`)
  const local = first.split('/')[0] ?? ''
  if (wanted === undefined)
    return await usage(call, `Error: any valid prefix is expected rather than "${first}".`, 1)
  const settings = settingsOf(rest)
  if (typeof settings === 'string') {
    return await usage(call, `Error: either "local" is duplicate, or "${settings}" is a garbage.`, 255)
  }
  if (settings.device === undefined)
    return await usage(call, 'Not enough information: "dev" argument is required.', 1)
  if (settings.device !== node.nic.name)
    return await usage(call, `Cannot find device "${settings.device}"`, 1)
  if (call.user !== 'root') return await usage(call, 'RTNETLINK answers: Operation not permitted')
  const existing = node.raised.get(local)
  const isNicAddress = local === node.nic.address && wanted.prefix === node.nic.prefix
  if (verb === 'del') {
    if (isNicAddress) {
      return await usage(call, 'practice lab: the address that the node was installed with stays on it', 1)
    }
    if (existing?.prefix !== wanted.prefix) return await usage(call, 'Error: ipv4: Address not found.')
    node.lowerAddress(local)
    return 0
  }
  if (isNicAddress || (verb === 'add' && existing?.prefix === wanted.prefix)) {
    return verb === 'add' ? await usage(call, 'Error: ipv4: Address already assigned.') : 0
  }
  if (settings.preferredFor > settings.validFor) {
    return await usage(call, 'preferred_lft is greater than valid_lft', 1)
  }
  if (settings.validFor === 0) return await usage(call, 'valid_lft is zero', 1)
  const { label = node.nic.name } = settings
  const { segment } = call.services
  node.raiseAddress(local, {
    prefix: wanted.prefix,
    label,
    validFor: segment.simulated(settings.validFor),
    preferredFor: segment.simulated(settings.preferredFor),
  })
  return 0
}

interface AddressSettings {
  device: string | undefined
  label?: string
  /** Real milliseconds: lifetimes of addresses do not pass faster on a fast clock, see `Segment.simulated`. */
  validFor: number
  preferredFor: number
}

/** The words behind the address; the one that is not understood. */
function settingsOf(words: readonly string[]): AddressSettings | string {
  const settings: AddressSettings = { device: undefined, validFor: Infinity, preferredFor: Infinity }
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? ''
    if (word === 'noprefixroute') continue
    index += 1
    const value = words[index]
    if (value === undefined) return word
    if (word === 'dev') settings.device = value
    else if (word === 'label') settings.label = value
    else if (word === 'valid_lft' || word === 'preferred_lft') {
      const milliseconds =
        value === 'forever' ? Infinity : /^\d+(sec)?$/.test(value) ? parseInt(value, 10) * 1000 : NaN
      if (Number.isNaN(milliseconds)) return value
      settings[word === 'valid_lft' ? 'validFor' : 'preferredFor'] = milliseconds
    } else if (!/^(scope|brd|broadcast|metric)$/.test(word)) return word
  }
  return settings
}

function networkOf({ node: { nic } }: CommandCall): string {
  const network = parseNetwork(`${nic.address}/${nic.prefix}`)
  return `${formatAddress(network?.first ?? 0)}/${nic.prefix}`
}
