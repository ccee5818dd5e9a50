import { describe, expect, it } from 'vitest'
import { checkResultSchema, resultOf } from '../../shared/checks/index.ts'
import type { HostKeyJudgement } from '../ssh/index.ts'
import { checkHostKeys, checkLockout } from './access-checks.ts'

const endpoint = { host: '10.10.200.11', port: 22 }
const seen = { algorithm: 'ssh-ed25519', fingerprint: 'SHA256:now', publicKey: 'AAAA' }
const known = {
  algorithm: 'ssh-ed25519',
  fingerprint: 'SHA256:before',
  firstSeen: '2026-01-01T00:00:00.000Z',
}

describe('ssh.host-key', () => {
  it.each([
    ['seen for the first time', { status: 'new', endpoint, seen }, 'pass', 'for the first time'],
    ['the known one', { status: 'match', endpoint, seen, known }, 'pass', 'SHA256:now'],
    ['another one than before', { status: 'changed', endpoint, seen, known }, 'fail', 'SHA256:before'],
    ['not seen', undefined, 'could-not-run', 'no connection'],
  ] satisfies [string, HostKeyJudgement | undefined, string, string][])(
    'that is %s: the fingerprints are shown',
    (_name, judgement, state, text) => {
      const [finding] = checkHostKeys([{ node: 'n1', judgement }])
      if (finding === undefined) throw new Error('no finding')
      expect(checkResultSchema.parse(resultOf(finding, 0))).toMatchObject({
        state,
        measured: expect.stringContaining(text) as string,
      })
    },
  )
})

describe('cred.lockout', () => {
  const now = Date.parse('2026-03-04T12:00:00Z')
  const minutesAgo = (minutes: number) => now - minutes * 60_000
  it.each([
    [[], 'pass'],
    [[minutesAgo(1)], 'pass'],
    [[minutesAgo(20), minutesAgo(16)], 'pass'],
    [[minutesAgo(20), minutesAgo(1)], 'pass'],
    [[minutesAgo(14), minutesAgo(1)], 'fail'],
  ])('after refusals at %j: %s', (refusedAt, state) => {
    const [finding] = checkLockout([{ node: 'n1', account: 'kairos', refusedAt }], now)
    expect(finding?.state).toBe(state)
    if (state === 'fail') expect(finding?.remedy).toContain('2026-03-04T12:14:00.000Z')
  })
})
