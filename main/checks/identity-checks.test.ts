import { describe, expect, it } from 'vitest'
import { resultOf } from '../../shared/checks/index.ts'
import { checkCredentials } from './credential-check.ts'
import { checkTls } from './tls-check.ts'

const stateOf = (finding: ReturnType<typeof checkTls>[number] | undefined) => {
  if (finding === undefined) throw new Error('no finding')
  const { state, severity } = resultOf(finding, 0)
  return `${state} ${severity}`
}

describe('ws.tls-inspection', () => {
  it('passes only where the node itself has the same certificate, and blocks where it has another one', () => {
    const findings = checkTls([
      { node: 'n1', proof: { kind: 'proven', fingerprint: 'AA:11', how: 'TLS handshake' } },
      {
        node: 'n2',
        proof: { kind: 'intercepted', seenFromHere: 'AA:22', seenOnNode: 'BB:22', how: 'TLS handshake' },
      },
      { node: 'n3', proof: { kind: 'unproven', fingerprint: 'AA:33', reason: 'SSH is closed.' } },
      { node: 'n4', proof: undefined },
    ])
    expect(findings.map(({ target }) => target)).toEqual(['n1', 'n2', 'n3', 'n4'])
    expect(findings.map(stateOf)).toEqual([
      'pass block',
      'fail block',
      'could-not-run warn',
      'could-not-run warn',
    ])
    expect(findings[1]?.measured).toBe('seen from here AA:22, on the node BB:22')
    expect(findings[2]).toMatchObject({
      evidence: 'SSH is closed.',
      measured: expect.stringContaining('AA:33') as string,
    })
  })
})

describe('cred.default-changed', () => {
  it('is judged by the login that was accepted last, and is unknown without one', () => {
    const view = { account: 'kairos', isToBeChanged: false }
    const findings = checkCredentials([
      { ...view, node: 'n1', accepted: 'new', isProductDefault: false },
      { ...view, node: 'n2', accepted: 'initial', isProductDefault: true },
      { ...view, node: 'n3', accepted: 'initial', isProductDefault: false },
      { ...view, node: 'n4', accepted: undefined, isProductDefault: false },
      { ...view, node: 'n5', accepted: 'initial', isProductDefault: true, isToBeChanged: true },
    ])
    expect(findings.map(({ state }) => state)).toEqual(['pass', 'fail', 'pass', 'could-not-run', 'skipped'])
    expect(findings[1]?.remedy).toContain('change-passwords')
    expect(JSON.stringify(findings)).not.toContain('"kairos"')
  })
})
