import { AppError } from '../../../../shared/errors/index.ts'
import { reasonOf } from '../../../engine/cancellation.ts'
import { createManualClock, type ManualClock } from '../../../engine/testing/manual-clock.ts'
import type { ProgramResult, ProgramRunner, RunOptions } from '../../programs/program-runner.ts'
import type { ProofNode, WorkstationReach } from '../proof.ts'

/** An address as the simulated kernel has it; `expiresAt` in milliseconds of the clock, `Infinity`: for ever. */
interface KernelAddress {
  expiresAt: number
  prefix: number
  interface: string
  label: string
}

/** Asked for by this host itself, or announced and not confirmed yet; used since when, in the second case. */
interface NeighbourRow {
  mac: string
  learnedAt: number
  isAnnounced?: boolean
  usedSince?: number
}

/** What is wrong with a host. Everything may be changed while a proof runs. */
export interface HostFaults {
  /** Which arping it has. */
  arping: 'iputils' | 'none' | 'rubbish'
  /** `refuses`: an `ip` that knows no lifetimes · `ignores`: it takes them and keeps the address for ever. */
  lifetimes: 'kept' | 'refuses' | 'ignores'
  /** What the read-back shows instead of the truth. */
  readBack: 'true' | 'rubbish' | 'without-the-address' | 'other-interface' | 'longer'
  /** Whether Landfall reaches the host: `hangs`: commands do their work and never end. */
  connection: 'good' | 'down' | 'hangs'
  /** What it answers on IP. */
  answers: 'all' | 'tcp' | 'none'
  hasPing: boolean
  hasBash: boolean
  /** A node of a cluster passes on what is sent to its MAC address. */
  forwards: boolean
  /** Every removal fails. */
  keepsAddresses: boolean
  /** Does not let anybody become root to clear its neighbour table. */
  keepsNeighbours: boolean
}

export interface SimulatedHost {
  readonly name: string
  readonly mac: string
  readonly ownAddress: string
  readonly kernel: Map<string, KernelAddress>
  readonly neighbours: Map<string, NeighbourRow>
  readonly faults: HostFaults
}

export type FrameKind = 'arp' | 'announcement' | 'ip'

const interfaceName = 'eth0'
const latencyMilliseconds = 10
/** How long a neighbour entry is believed without being asked anew. */
const freshMilliseconds = 30_000
/** After how long a kernel confirms an announced entry that it uses (delay_first_probe_time). */
const confirmMilliseconds = 5_000

/**
 * A network segment with hosts on it: their kernels' addresses and neighbour tables, who hears whom, and the programs
 * `ip`, `ping`, `arping`, `cat` and `bash` with the output of the real ones. Time is a manual clock's.
 */
export class SimulatedSegment {
  readonly clock: ManualClock = createManualClock()
  readonly hosts: SimulatedHost[] = []
  /** Commands as they were started: `n1: ip address add …`. */
  readonly commands: string[] = []
  /** Called before a command starts, and after it has taken effect. */
  onCommand: (moment: 'before' | 'after', index: number, text: string) => void = () => undefined
  /** Whether a frame from one host to another is lost. */
  loses: (from: SimulatedHost, to: SimulatedHost, kind: FrameKind) => boolean = () => false
  /** Programs that run now. */
  running = 0

  constructor() {
    this.clock.runFree()
  }

  addHost(name: string, ownAddress: string, faults: Partial<HostFaults> = {}): SimulatedHost {
    const number = this.hosts.length + 1
    const host: SimulatedHost = {
      name,
      mac: `02:00:00:00:00:${number.toString(16).padStart(2, '0')}`,
      ownAddress,
      kernel: new Map([
        [ownAddress, { expiresAt: Infinity, prefix: 24, interface: interfaceName, label: interfaceName }],
      ]),
      neighbours: new Map(),
      faults: {
        arping: 'iputils',
        lifetimes: 'kept',
        readBack: 'true',
        connection: 'good',
        answers: 'all',
        hasPing: true,
        hasBash: true,
        forwards: false,
        keepsAddresses: false,
        keepsNeighbours: false,
        ...faults,
      },
    }
    this.hosts.push(host)
    return host
  }

  give(host: SimulatedHost, address: string, options: Partial<KernelAddress> = {}): void {
    host.kernel.set(address, {
      expiresAt: Infinity,
      prefix: 24,
      interface: interfaceName,
      label: interfaceName,
      ...options,
    })
  }

  has(host: SimulatedHost, address: string): boolean {
    const entry = host.kernel.get(address)
    if (entry !== undefined && entry.expiresAt <= this.clock.now()) host.kernel.delete(address)
    return host.kernel.has(address)
  }

  node(host: SimulatedHost): ProofNode {
    return {
      name: host.name,
      runner: this.#runner(host),
      interface: interfaceName,
      mac: host.mac,
      address: host.ownAddress,
    }
  }

  /** A workstation that has this host's place on the segment. `arp: unknown` as over a router. */
  workstation(host: SimulatedHost): WorkstationReach {
    return {
      reach: async (address, _owner, signal) => {
        await this.clock.sleep(latencyMilliseconds, signal)
        const isReached = this.#reach(host, address) !== undefined
        if (!isReached) await this.clock.sleep(1000, signal)
        return { arp: 'unknown', macs: [], ip: isReached ? 'reached' : 'silent', detail: 'TCP 22' }
      },
    }
  }

  /** Whether ARP and IP work from one host to another, whatever addresses they have. */
  canReach(from: SimulatedHost, to: SimulatedHost): boolean {
    const isWayOpen = (['arp', 'ip'] as const).every(
      (kind) => !this.loses(from, to, kind) && !this.loses(to, from, kind),
    )
    return isWayOpen && to.faults.answers !== 'none'
  }

  #holders(address: string): SimulatedHost[] {
    return this.hosts.filter((host) => this.has(host, address))
  }

  #arpAnswers(from: SimulatedHost, address: string): SimulatedHost[] {
    return this.#holders(address).filter(
      (to) => to !== from && !this.loses(from, to, 'arp') && !this.loses(to, from, 'arp'),
    )
  }

  /** Whoever answers an IP packet; resolves the MAC address as a kernel does. */
  #reach(from: SimulatedHost, address: string): SimulatedHost | undefined {
    if (this.has(from, address)) return from
    const now = this.clock.now()
    const known = from.neighbours.get(address)
    if (known?.isAnnounced === true) known.usedSince ??= now
    const isDue = known?.usedSince !== undefined && now - known.usedSince >= confirmMilliseconds
    const isFresh = known !== undefined && now - known.learnedAt < freshMilliseconds
    if (!isFresh || isDue) {
      const [first] = this.#arpAnswers(from, address)
      if (first === undefined) {
        from.neighbours.delete(address)
        return undefined
      }
      from.neighbours.set(address, { mac: first.mac, learnedAt: now })
    }
    const mac = from.neighbours.get(address)?.mac
    const next = this.hosts.find((host) => host.mac === mac)
    if (next === undefined || this.loses(from, next, 'ip') || this.loses(next, from, 'ip')) return undefined
    if (this.has(next, address)) return next.faults.answers === 'none' ? undefined : next
    return next.faults.forwards ? this.#reach(next, address) : undefined
  }

  #runner(host: SimulatedHost): ProgramRunner {
    return {
      place: host.name,
      platform: 'linux',
      run: async (program, args, options) => {
        const text = `${host.name}: ${[program, ...args].join(' ')}`
        const index = this.commands.push(text) - 1
        this.onCommand('before', index, text)
        this.running += 1
        try {
          return await this.#run(host, program, args, options, () => {
            this.onCommand('after', index, text)
          })
        } finally {
          this.running -= 1
        }
      },
    }
  }

  async #run(
    host: SimulatedHost,
    program: string,
    args: readonly string[],
    options: RunOptions,
    handleEffect: () => void,
  ): Promise<ProgramResult> {
    if (options.signal.aborted) throw reasonOf(options.signal)
    await this.clock.sleep(latencyMilliseconds, options.signal)
    if (host.faults.connection === 'down') throw unreachableError(host)
    if (host.faults.connection === 'hangs') {
      // It arrived, but nothing comes back.
      await this.#execute(host, program, args, options)
      await this.clock.sleep(options.deadlineSeconds * 1000, options.signal)
      return { kind: 'killed', reason: 'deadline', stdout: '', stderr: '' }
    }
    const result = await this.#execute(host, program, args, options)
    handleEffect()
    await this.clock.sleep(latencyMilliseconds, options.signal)
    return result
  }

  async #execute(
    host: SimulatedHost,
    program: string,
    args: readonly string[],
    options: RunOptions,
  ): Promise<ProgramResult> {
    switch (program) {
      case 'ip':
        return this.#ip(host, args, options)
      case 'cat':
        return ended(0, '1\n2\n0x1003\n')
      case 'ping':
        return this.#ping(host, args, options)
      case 'env':
        return this.#connect(host, args, options)
      case '/usr/bin/arping':
        return this.#arping(host, args, options)
      default:
        return { kind: 'missing' }
    }
  }

  #ip(host: SimulatedHost, args: readonly string[], options: RunOptions): ProgramResult {
    const [first, second] = args
    if (first === '-j') return this.#show(host)
    if (first === '-o') return ended(255, '', 'Option "-o" is unknown, try "ip -help".\n')
    if (first === 'neigh' && second === 'flush') {
      if (options.asRoot !== true || host.faults.keepsNeighbours)
        return ended(1, '', 'Failed to send flush request: Operation not permitted\n')
      host.neighbours.delete(args[3] ?? '')
      return ended(0, '')
    }
    if (first === 'neigh') return this.#neighbours(host, args[3] ?? '')
    if (first !== 'address' || options.asRoot !== true)
      return ended(2, '', 'RTNETLINK answers: Operation not permitted\n')
    const [address = '', prefix] = (args[2] ?? '').split('/')
    if (second === 'del') {
      if (!this.has(host, address)) return ended(2, '', 'Error: ipv4: Address not found.\n')
      if (host.faults.keepsAddresses) return ended(2, '', 'RTNETLINK answers: Device or resource busy\n')
      host.kernel.delete(address)
      return ended(0, '')
    }
    if (second === 'add' && this.has(host, address))
      return ended(2, '', 'Error: ipv4: Address already assigned.\n')
    if (host.faults.lifetimes === 'refuses') return ended(1, '', 'ip: invalid argument "valid_lft"\n')
    const seconds = Number(args[args.indexOf('valid_lft') + 1])
    host.kernel.set(address, {
      expiresAt: host.faults.lifetimes === 'ignores' ? Infinity : this.clock.now() + seconds * 1000,
      prefix: Number(prefix),
      interface: interfaceName,
      label: args.includes('label') ? (args[args.indexOf('label') + 1] ?? '') : interfaceName,
    })
    return ended(0, '')
  }

  #show(host: SimulatedHost): ProgramResult {
    const { readBack } = host.faults
    if (readBack === 'rubbish') return ended(0, '[{"ifname":')
    const all = [...host.kernel.keys()].filter((address) => this.has(host, address))
    const addresses = all.flatMap((address) => {
      const entry = host.kernel.get(address)
      if (entry === undefined || (readBack === 'without-the-address' && address !== host.ownAddress))
        return []
      const isForever = entry.expiresAt === Infinity
      const left = Math.ceil((entry.expiresAt - this.clock.now()) / 1000)
      return [
        {
          family: 'inet',
          local: address,
          prefixlen: entry.prefix,
          scope: 'global',
          label: entry.label,
          valid_life_time: isForever ? 0xffff_ffff : readBack === 'longer' ? left + 3600 : left,
          preferred_life_time: isForever ? 0xffff_ffff : 0,
        },
      ]
    })
    const [own, ...others] = addresses
    const isElsewhere = readBack === 'other-interface'
    return ended(
      0,
      JSON.stringify([
        { ifindex: 1, ifname: 'lo', link_type: 'loopback', address: '00:00:00:00:00:00', addr_info: [] },
        {
          ...{ ifindex: 2, ifname: interfaceName, link_type: 'ether', address: host.mac },
          addr_info: isElsewhere ? [own] : addresses,
        },
        ...(isElsewhere ? [{ ifindex: 3, ifname: 'eth1', link_type: 'ether', addr_info: others }] : []),
      ]),
    )
  }

  #neighbours(host: SimulatedHost, address: string): ProgramResult {
    const row = host.neighbours.get(address)
    if (this.has(host, address)) return ended(0, '')
    if (row === undefined) return ended(0, `${address} dev ${interfaceName} FAILED\n`)
    const isFresh = row.isAnnounced !== true && this.clock.now() - row.learnedAt < freshMilliseconds
    return ended(0, `${address} dev ${interfaceName} lladdr ${row.mac} ${isFresh ? 'REACHABLE' : 'STALE'}\n`)
  }

  async #ping(host: SimulatedHost, args: readonly string[], options: RunOptions): Promise<ProgramResult> {
    if (!host.faults.hasPing) return { kind: 'missing' }
    const address = args.at(-1) ?? ''
    const giveUpAt = this.clock.now() + (args.includes('-w') ? 1000 : 2000)
    while (this.clock.now() < giveUpAt) {
      const by = this.#reach(host, address)
      if (by?.faults.answers === 'all') return ended(0, `64 bytes from ${address}\n`)
      await this.clock.sleep(200, options.signal)
    }
    return ended(1, '2 packets transmitted, 0 received, 100% packet loss\n')
  }

  async #connect(host: SimulatedHost, args: readonly string[], options: RunOptions): Promise<ProgramResult> {
    if (!host.faults.hasBash) return ended(127, '', "env: 'bash': No such file or directory\n")
    const address = args.at(-2) ?? ''
    if (this.#reach(host, address) !== undefined)
      return ended(
        1,
        '',
        `bash: connect: Connection refused\nbash: /dev/tcp/${address}/22: Connection refused\n`,
      )
    await this.clock.sleep(options.deadlineSeconds * 1000, options.signal)
    return { kind: 'killed', reason: 'deadline', stdout: '', stderr: '' }
  }

  async #arping(host: SimulatedHost, args: readonly string[], options: RunOptions): Promise<ProgramResult> {
    if (host.faults.arping === 'none') return { kind: 'missing' }
    if (args.includes('-V')) return ended(0, 'arping from iputils 20221126\n')
    if (host.faults.arping === 'rubbish') return ended(0, 'Segmentation fault\n')
    const address = args.at(-1) ?? ''
    const count = Number(args[args.indexOf('-c') + 1])
    const isDetection = args.includes('-D')
    const isAnnouncement = args.includes('-U') || args.includes('-A')
    const source = isDetection ? '0.0.0.0' : isAnnouncement ? address : host.ownAddress
    const lines = [`ARPING ${address} from ${source} ${interfaceName}`]
    if (isAnnouncement && !this.has(host, address))
      return ended(2, '', 'bind: Cannot assign requested address\n')
    let received = 0
    let sent = 0
    while (sent < count) {
      sent += 1
      if (isAnnouncement) this.#announce(host, address)
      else
        for (const { mac } of this.#arpAnswers(host, address)) {
          lines.push(`Unicast reply from ${address} [${mac.toUpperCase()}]  0.712ms`)
          received += 1
        }
      if (isDetection && received > 0) break
      await this.clock.sleep(1000, options.signal)
    }
    lines.push(`Sent ${sent} probes (${sent} broadcast(s))`, `Received ${received} response(s)`, '')
    const isSuccess = isDetection ? received === 0 : isAnnouncement || received > 0
    return ended(isSuccess ? 0 : 1, lines.join('\n'))
  }

  #announce(from: SimulatedHost, address: string): void {
    for (const host of this.hosts)
      if (host !== from && !this.loses(from, host, 'announcement') && host.neighbours.has(address))
        host.neighbours.set(address, { mac: from.mac, learnedAt: this.clock.now(), isAnnounced: true })
  }
}

function ended(exitCode: number, stdout: string, stderr = ''): ProgramResult {
  return { kind: 'ended', exitCode, stdout, stderr }
}

function unreachableError(host: SimulatedHost): AppError {
  return new AppError({
    code: 'NO_ANSWER',
    title: `${host.ownAddress}:22 does not answer.`,
    isTransient: true,
  })
}
