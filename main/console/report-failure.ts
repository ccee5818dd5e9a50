import process from 'node:process'
import { CommanderError } from 'commander'
import { toAppError } from '../../shared/errors/index.ts'
import { exitCodes } from './exit-codes.ts'

/** Codes of errors that are the fault of what was typed or written, not of the site. */
const badInputCodes = new Set([
  'PLAN_INVALID',
  'PLAN_UNREADABLE',
  'PLAN_FROZEN',
  'BAD_ARGUMENT',
  'BAD_RANGE',
  'INTERFACE_DOWN',
  'INTERFACE_UNKNOWN',
  'RUN_UNFINISHED',
  'NOTHING_TO_RESUME',
  'FILE_UNREADABLE',
  'SCENARIO_INVALID',
  'SECRETS_MISSING',
  'SECRET_TOO_SHORT',
  'SECRET_WEAK',
  'SECRET_UNUSABLE',
  'VAULT_PASSPHRASE_WRONG',
  'VAULT_PASSPHRASE_WEAK',
  'VAULT_PASSPHRASE_FILE',
  'VAULT_DAMAGED',
])

/** Writes an error the way an operator can use it, and returns the exit code. */
export function reportFailure(thrown: unknown): number {
  // Commander has already written what is wrong with the arguments, or the help that was asked for.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.done : exitCodes.badInput
  const error = toAppError(thrown)
  const lines = [
    `error: ${error.title}${error.detail === '' ? '' : ` ${error.detail}`}`,
    ...error.remedies.map((remedy, index) => `  ${index + 1}. ${remedy}`),
    ...(error.code === 'INTERNAL' && thrown instanceof Error ? [thrown.stack ?? ''] : []),
  ]
  process.stderr.write(`${lines.join('\n')}\n`)
  // Asked to go on with what is complete: told, and no failure.
  if (error.code === 'RUN_DONE') return exitCodes.done
  if (error.code === 'STOPPED_BY_OPERATOR') return exitCodes.stopped
  return badInputCodes.has(error.code) ? exitCodes.badInput : exitCodes.failed
}
