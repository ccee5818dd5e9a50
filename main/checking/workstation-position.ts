import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { AppError } from '../../shared/errors/index.ts'
import type { WorkstationPosition } from '../checks/index.ts'
import { acquireLease } from '../engine/lease.ts'
import { createLocalRunner } from '../network/programs/local-runner.ts'
import type { WorkstationView } from '../phases/site.ts'

const deadlineSeconds = 10
/** Bit of CAP_NET_RAW in a set of capabilities (capabilities(7), linux/capability.h). */
const netRaw = 13n

/** Reads how this workstation stands to the site's network. `leaseFile`: see `acquireLease`. */
export async function readPosition(
  workstation: WorkstationView,
  leaseFile: string,
  signal: AbortSignal,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<WorkstationPosition> {
  const [facts, programs, maySendArp, otherRun] = await Promise.all([
    readFacts(workstation, signal),
    readPrograms(signal),
    readCapability(),
    readOtherRun(leaseFile),
  ])
  return {
    facts,
    programs,
    maySendArp,
    otherRun,
    proxyVariables: Object.keys(environment).filter(
      (name) => /^(https?|all)_proxy$/i.test(name) && environment[name] !== '',
    ),
  }
}

async function readFacts(
  workstation: WorkstationView,
  signal: AbortSignal,
): Promise<WorkstationPosition['facts']> {
  if (workstation.kind === 'elsewhere') return { unread: workstation.reason, isSkipped: true }
  try {
    const vantage = await workstation.vantage()
    return await vantage.facts(signal)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof AppError)) throw error
    return { unread: error.message, isSkipped: false }
  }
}

async function readPrograms(signal: AbortSignal): Promise<WorkstationPosition['programs']> {
  const { detectArping } = await import('../network/arping/index.ts')
  const runner = createLocalRunner()
  const [nmap, arping] = await Promise.all([
    runner.run('nmap', ['--version'], { signal, deadlineSeconds }),
    detectArping(runner, signal),
  ])
  const isArping = arping.kind !== 'none' && arping.kind !== 'unknown'
  return new Map([
    ['nmap', nmap.kind === 'ended' ? /version (\S+)/.exec(nmap.stdout)?.[1] : undefined],
    ['arping', isArping ? `${arping.kind} ${arping.version}` : undefined],
  ])
}

/** `undefined` where the system does not tell. */
async function readCapability(): Promise<boolean | undefined> {
  if (process.getuid?.() === 0) return true
  if (process.platform !== 'linux') return process.platform === 'win32' ? undefined : false
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  return effective === undefined ? undefined : ((BigInt(`0x${effective}`) >> netRaw) & 1n) === 1n
}

/** Takes the lease and gives it back: whoever has it now is told. */
async function readOtherRun(leaseFile: string): Promise<string | undefined> {
  try {
    const lease = await acquireLease(leaseFile)
    await lease.release()
    return undefined
  } catch (error) {
    if (error instanceof AppError) return error.message
    throw error
  }
}
