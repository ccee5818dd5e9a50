import { networkInterfaces } from 'node:os'
import type { ProgramRunner } from '../../programs/program-runner.ts'

/**
 * Whether an interface of this machine has a link, on any platform: Node lists those that are up and running only.
 *
 * @param list the interfaces of this machine; for tests
 */
export function localHasLink(interfaceName: string, list = networkInterfaces): boolean {
  return list()[interfaceName] !== undefined
}

/** Real time. */
const deadlineSeconds = 10

/**
 * Whether an interface of a Linux place has a link (`ip -j link`). `undefined`: that could not be found out. Rejects as
 * the runner does.
 */
export async function readHasLink(
  runner: ProgramRunner,
  interfaceName: string,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const args = ['-j', 'link', 'show', 'dev', interfaceName]
  const result = await runner.run('ip', args, { signal, deadlineSeconds })
  if (result.kind !== 'ended' || result.exitCode !== 0) return undefined
  const flags = flagsIn(result.stdout)
  return flags === undefined ? undefined : flags.includes('UP') && !flags.includes('NO-CARRIER')
}

function flagsIn(text: string): unknown[] | undefined {
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    return undefined
  }
  const link: unknown = Array.isArray(list) ? list[0] : undefined
  if (typeof link !== 'object' || link === null || !('flags' in link)) return undefined
  return Array.isArray(link.flags) ? link.flags : undefined
}
