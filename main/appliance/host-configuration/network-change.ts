import { AppError } from '../../../shared/errors/index.ts'
import type { ProgramRunner } from '../../network/programs/program-runner.ts'
import { networkChangeScript } from './network-change-script.ts'
import { networkFiles, nodePlaces, trialUnits, vlanInterfaceOf, type NodePlaces } from './network-files.ts'
import type { InterfaceSettings } from './interface-settings.ts'

/** Where a change stands, as the node says. */
export type NetworkChangeState =
  | { readonly kind: 'none' }
  /** On trial: the node takes it back by itself when it is not confirmed. */
  | { readonly kind: 'pending'; readonly id: string }
  /** Confirmed, and its files were not all put in place yet. */
  | { readonly kind: 'confirming'; readonly id: string }
  /** `reason`: what systemd-networkd said; empty when only the confirmation did not come. */
  | { readonly kind: 'rolled-back'; readonly id: string; readonly reason: string }

export interface NetworkChange {
  /** Letters, digits and `-`; one for every try. */
  readonly id: string
  readonly settings: InterfaceSettings
  /** Seconds after which the node takes the change back, unless it was confirmed. */
  readonly rollBackSeconds: number
  /** `false`: nothing of it stays after a restart, because something else makes it last. Default true. */
  readonly isLasting?: boolean
  readonly places?: NodePlaces
}

const deadlineSeconds = 30

/**
 * Begins a change on trial. When it returns, the roll-back is waiting on the node, and about a second later the interface
 * changes. `pending`: an earlier change is on trial still, and this one was not begun.
 *
 * @throws AppError `NETWORK_CHANGE_REFUSED` when the node could not prepare it: nothing was changed.
 */
export async function beginNetworkChange(
  runner: ProgramRunner,
  change: NetworkChange,
  signal: AbortSignal,
): Promise<'begun' | 'pending'> {
  const { settings, isLasting = true, places = nodePlaces } = change
  const finals = isLasting ? networkFiles(settings, places) : []
  const input = [
    `script ${base64(networkChangeScript)}`,
    ...trialUnits(settings).map(({ name, content }) => `trial ${name} ${base64(content)}`),
    ...finals.map(({ path, content }) => `final ${path} ${base64(content)}`),
    'end',
  ]
  const said = await runScript(runner, {
    words: ['begin', change.id, String(change.rollBackSeconds), settings.name, vlanInterfaceOf(settings)],
    input: `${input.join('\n')}\n`,
    signal,
  })
  return said.startsWith('begun') ? 'begun' : 'pending'
}

/**
 * Confirms a change, over a connection to the address that it gave the node. From then on it lasts.
 *
 * @throws AppError `NETWORK_CHANGE_REFUSED` when its files could not be put in place.
 */
export async function confirmNetworkChange(
  runner: ProgramRunner,
  id: string,
  signal: AbortSignal,
): Promise<'confirmed' | 'rolled-back' | 'none'> {
  // With input the script ends by itself, also when this connection is lost meanwhile.
  const said = await runScript(runner, { words: ['confirm', id], input: '\n', signal })
  return said === 'confirmed' || said === 'rolled-back' ? said : 'none'
}

/** Asks the node where its last change of the network stands. */
export async function readNetworkChange(
  runner: ProgramRunner,
  signal: AbortSignal,
): Promise<NetworkChangeState> {
  const said = await runScript(runner, { words: ['status', '-'], input: '\n', signal })
  const [kind = '', id = '', ...reason] = said.split(' ')
  if (kind === 'pending' || kind === 'confirming') return { kind, id }
  if (kind === 'rolled-back') return { kind, id, reason: reason.join(' ').trim() }
  return { kind: 'none' }
}

async function runScript(
  runner: ProgramRunner,
  { words, input, signal }: { words: readonly string[]; input: string; signal: AbortSignal },
): Promise<string> {
  const result = await runner.run('sh', ['-c', networkChangeScript, 'landfall-network', ...words], {
    signal,
    deadlineSeconds,
    asRoot: true,
    input,
  })
  if (result.kind === 'ended') {
    const state = /^state: (.*)$/m.exec(result.stdout)?.[1]
    if (result.exitCode === 0 && state !== undefined) return state.trim()
    const problem = /^problem: ([\s\S]*)/m.exec(result.stdout)?.[1] ?? result.stderr
    throw refused(runner.place, problem.trim().slice(0, 400) || `exit code ${String(result.exitCode)}`)
  }
  switch (result.kind) {
    case 'missing':
      throw refused(runner.place, 'the node has no shell called sh')
    case 'not-permitted':
      throw refused(runner.place, `root is needed: ${result.reason}`)
    case 'killed':
      // Whether it took effect is not known: it is read from the node.
      throw new AppError({
        code: 'NETWORK_CHANGE_UNANSWERED',
        title: `${runner.place} did not answer in time about its network settings.`,
        detail: `No answer within ${String(deadlineSeconds)} s.`,
        remedies: ['If it does not recover by itself, look at the load and the disks of the node.'],
        node: runner.place,
        isTransient: true,
      })
  }
}

function refused(node: string, reason: string): AppError {
  return new AppError({
    code: 'NETWORK_CHANGE_REFUSED',
    title: `${node} cannot change its network settings.`,
    detail: `${reason}.`.replace(/\.\.$/, '.'),
    remedies: remediesOf(reason),
    node,
  })
}

function remediesOf(reason: string): string[] {
  if (/no space left/i.test(reason))
    return ['Free some space on the disk of the node, then go on with --resume.']
  if (/read-only/i.test(reason))
    return [
      'The place for lasting settings is mounted read-only: look at the disk of the node (dmesg), or restart it, then go on with --resume.',
    ]
  if (reason.includes('no network interface')) return ['Correct nic.name of this node in the plan.']
  if (reason.includes('root is needed')) return ['Use an account that may use sudo in access.user.']
  return [
    'Set the network in the text interface of the node (command palette-tui), then go on with --resume.',
  ]
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
