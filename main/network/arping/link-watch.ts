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
    if (before.kind === 'problem') return before.detail
    if (now.kind === 'problem') return now.detail
    return before.changes === now.changes ? undefined : 'The interface lost its link for a moment.'
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
    if (result.kind !== 'ended') return cannotBeTold(result.kind)
    return isLinux ? readSysfs(result) : readIfconfig(result)
  }
}

type LinkState =
  /** `changes`: how often the link came and went since the system started; `undefined` where nobody counts. */
  | { readonly kind: 'up'; readonly changes: number | undefined }
  /** A whole sentence. */
  | { readonly kind: 'problem'; readonly detail: string }

function problemOf(state: LinkState): string | undefined {
  return state.kind === 'problem' ? state.detail : undefined
}

function cannotBeTold(detail: string): LinkState {
  return { kind: 'problem', detail: `Whether the interface has a link cannot be told: ${detail}.` }
}

/** The three files of /sys/class/net, one line each. The carrier of an interface that is down cannot be read at all. */
function readSysfs(result: { readonly stdout: string; readonly stderr: string }): LinkState {
  const problem = (detail: string): LinkState => ({ kind: 'problem', detail })
  if (result.stderr.includes('Invalid argument')) return problem('The interface is down.')
  if (result.stderr.includes('No such file')) return problem('There is no such interface.')
  const match = /^([01])\n(\d{1,15})\n0x([0-9a-f]{1,8})\n$/.exec(result.stdout)
  if (match === null) return cannotBeTold(printableStart(`${result.stdout} ${result.stderr}`))
  const [, carrier, changes, flags = '0'] = match
  if (carrier !== '1') return problem('The interface has no link: no cable, or nothing at its other end.')
  if ((Number.parseInt(flags, 16) & (loopback | noArp)) !== 0) {
    return problem('The interface does not speak ARP.')
  }
  return { kind: 'up', changes: Number(changes) }
}

/** `ifconfig` of macOS and the BSDs; not tried on a real one. */
function readIfconfig(result: { readonly stdout: string; readonly stderr: string }): LinkState {
  const status = /^\tstatus: (.+)$/m.exec(result.stdout)?.[1]
  if (status === 'active') return { kind: 'up', changes: undefined }
  if (status !== undefined) return { kind: 'problem', detail: 'The interface is down or has no link.' }
  return cannotBeTold(printableStart(`${result.stdout} ${result.stderr}`))
}
