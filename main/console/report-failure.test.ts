import process from 'node:process'
import { CommanderError } from 'commander'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { AppError } from '../../shared/errors/index.ts'
import { reportFailure } from './report-failure.ts'

let written = ''
beforeEach(() => {
  written = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written += String(text)
    return true
  })
})

const failure = (code: string) => new AppError({ code, title: 'It did not work.' })

describe('the exit code of a failure', () => {
  it.each([
    'PLAN_INVALID',
    'PLAN_UNREADABLE',
    'PLAN_FROZEN',
    'BAD_ARGUMENT',
    'NOTHING_TO_RESUME',
    'RUN_UNFINISHED',
  ])('is 2 for what was typed or written wrongly: %s', (code) => {
    expect(reportFailure(failure(code))).toBe(2)
  })

  it.each([
    'SECRETS_MISSING',
    'SECRET_TOO_SHORT',
    'VAULT_PASSPHRASE_WRONG',
    'VAULT_DAMAGED',
    'FILE_UNREADABLE',
  ])('is 2 for secrets and files that are not as they must be: %s', (code) => {
    expect(reportFailure(failure(code))).toBe(2)
  })

  it.each(['UNREACHABLE', 'LOGIN_REFUSED', 'STATE_FOLDER_NOT_WRITABLE', 'JOURNAL_WRITE_FAILED'])(
    'is 1 for what the site or the workstation does not do: %s',
    (code) => {
      expect(reportFailure(failure(code))).toBe(1)
    },
  )

  it('is 4 when the operator stopped, 0 when there was nothing left to do', () => {
    expect(reportFailure(failure('STOPPED_BY_OPERATOR'))).toBe(4)
    expect(reportFailure(failure('RUN_DONE'))).toBe(0)
  })

  it('is 1 for a bug', () => {
    expect(reportFailure(new TypeError('x is undefined'))).toBe(1)
    expect(reportFailure('a text that was thrown')).toBe(1)
  })

  it('is 2 for arguments that the parser refused, 0 for the help that was asked for; both are written already', () => {
    expect(reportFailure(new CommanderError(1, 'commander.unknownOption', 'unknown option'))).toBe(2)
    expect(reportFailure(new CommanderError(0, 'commander.helpDisplayed', '(outputHelp)'))).toBe(0)
    expect(written).toBe('')
  })
})

describe('what is written of a failure', () => {
  it('is what did not work, what was seen, and the ways out in their order; no stack', () => {
    reportFailure(
      new AppError({
        code: 'UNREACHABLE',
        title: 'n1 is silent.',
        detail: 'ECONNREFUSED',
        remedies: ['A.', 'B.'],
      }),
    )
    expect(written).toBe('error: n1 is silent. ECONNREFUSED\n  1. A.\n  2. B.\n')
  })

  it('of a bug is its place in the code as well, for the report', () => {
    reportFailure(new TypeError('x is undefined'))
    expect(written).toContain('Landfall itself made an error.')
    expect(written).toContain('x is undefined')
    expect(written).toContain('report-failure.test.ts')
  })
})
