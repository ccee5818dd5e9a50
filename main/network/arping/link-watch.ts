import { printableStart } from '../printable.ts'
import type { ProgramRunner } from '../programs/program-runner.ts'
import { assertInterfaceName } from './arping-command.ts'

/** Flags of an interface, linux/if.h. */
const loopback = 0x8
const noArp = 0x80

const deadlineSeconds = 10

/**
 * Knows whether an interface had a link all the time. Without a cable, or with the switch port shut, every arping reports
 * requests that were never sent by the hardware, and silence (measured: iputils 20221126, Habets 2.23, BusyBox 1.35);
 * Habets' one reports it for an interface that does not speak ARP as well.
 */
export class LinkWatch {
  readonly #runner: ProgramRunner
  readonly #interfaceName: string
  readonly #signal: AbortSignal
  #atStart: Promise<LinkState> | undefined
  #running: Promise<LinkState> | undefined
  #next: Promise<LinkState> | undefined

  /** @throws AppError `INTERFACE_NAME_INVALID`. */
  constructor(runner: ProgramRunner, interfaceName: string, signal: AbortSignal) {
    assertInterfaceName(interfaceName)
    this.#runner = runner
    this.#interfaceName = interfaceName
    this.#signal = signal
  }

  /** To be called before the first request. Why nothing can be asked; `undefined` when there is a link. */
  async problemAtStart(): Promise<string | undefined> {
    this.#atStart ??= this.#read()
    return problemOf(await this.#atStart)
  }

  /** Why what was heard until now proves nothing; `undefined` when there was a link all the time. */
  async problemSinceStart(): Promise<string | undefined> {
    this.#atStart ??= this.#read()
    const before = await this.#atStart
    const now = await this.#readAfterNow()
    const problem = problemOf(before) ?? problemOf(now)
    if (problem !== undefined) return problem
    if (before.kind === 'linux' && now.kind === 'linux' && before.changes !== now.changes) {
      return 'The interface lost its link for a moment.'
    }
    return undefined
  }

  /** A state that is younger than this call; calls at about the same time share it. */
  async #readAfterNow(): Promise<LinkState> {
    if (this.#next !== undefined) return await this.#next
    const previous = this.#running
    const next = (async () => {
      // What is being read now may be older than the answer that it should confirm.
      await previous?.catch(() => undefined)
      this.#running = this.#read()
      this.#next = undefined
      return await this.#running
    })()
    this.#next = next
    return await next
  }

  async #read(): Promise<LinkState> {
    const name = this.#interfaceName
    const isLinux = this.#runner.platform === 'linux'
    const files = ['carrier', 'carrier_changes', 'flags'].map((file) => `/sys/class/net/${name}/${file}`)
    const result = await (isLinux
      ? this.#runner.run('cat', files, { signal: this.#signal, deadlineSeconds })
      : this.#runner.run('ifconfig', [name], { signal: this.#signal, deadlineSeconds }))
    if (result.kind !== 'ended') {
      return { kind: 'unknown', detail: result.kind === 'killed' ? 'no answer in time' : result.kind }
    }
    return isLinux ? readSysfs(result) : readIfconfig(result)
  }
}

type LinkState =
  | { readonly kind: 'linux'; readonly hasCarrier: boolean; readonly changes: number; readonly flags: number }
  | { readonly kind: 'active' }
  | { readonly kind: 'no-link' }
  | { readonly kind: 'unknown'; readonly detail: string }

function problemOf(state: LinkState): string | undefined {
  switch (state.kind) {
    case 'active':
      return undefined
    case 'no-link':
      return 'The interface is down or has no link.'
    case 'unknown':
      return `Whether the interface has a link cannot be told: ${state.detail}`
    case 'linux':
      if (!state.hasCarrier) return 'The interface has no link: no cable, or nothing at its other end.'
      if ((state.flags & (loopback | noArp)) !== 0) return 'The interface does not speak ARP.'
      return undefined
  }
}

/** The three files of /sys/class/net, one line each. The carrier of an interface that is down cannot be read at all. */
function readSysfs(result: { readonly stdout: string; readonly stderr: string }): LinkState {
  const match = /^([01])\n(\d{1,15})\n0x([0-9a-f]{1,8})\n$/.exec(result.stdout)
  if (match !== null) {
    const [, carrier, changes, flags = '0'] = match
    return {
      kind: 'linux',
      hasCarrier: carrier === '1',
      changes: Number(changes),
      flags: Number.parseInt(flags, 16),
    }
  }
  if (result.stderr.includes('Invalid argument')) return { kind: 'no-link' }
  if (result.stderr.includes('No such file')) return { kind: 'unknown', detail: 'there is no such interface' }
  return { kind: 'unknown', detail: printableStart(`${result.stdout} ${result.stderr}`) }
}

/** `ifconfig` of macOS and the BSDs; not tried on a real one. */
function readIfconfig(result: { readonly stdout: string; readonly stderr: string }): LinkState {
  const status = /^\tstatus: (.+)$/m.exec(result.stdout)?.[1]
  if (status === 'active') return { kind: 'active' }
  if (status !== undefined) return { kind: 'no-link' }
  return { kind: 'unknown', detail: printableStart(`${result.stdout} ${result.stderr}`) }
}
