import { describe, expect, it } from 'vitest'
import { checkResultSchema, resultOf } from '../../shared/checks/index.ts'
import { AppError } from '../../shared/errors/index.ts'
import { planWith } from '../engine/testing/run-harness.ts'
import { checkReach } from './reach-check.ts'

const [node] = planWith(1).nodes
if (node === undefined) throw new TypeError('a plan with one node has one')

const refused = new AppError({
  code: 'LOGIN_REFUSED',
  title: 'n1 refused the login of kairos.',
  detail: 'Tried once each.',
  remedies: ['Log in by hand.', 'Do not guess.'],
  node: 'n1',
})

describe('whether a node can be asked', () => {
  it('passes with the id of the edge host that was read', () => {
    const result = checkReach(node, 'edge-1', [])
    expect(result).toMatchObject({
      id: 'node.connected',
      target: 'n1',
      state: 'pass',
      measured: 'edge host edge-1',
    })
    checkResultSchema.parse(resultOf(result, 0))
  })

  it('fails with the reason and the first way out of this node, not of another one', () => {
    const other = new AppError({ code: 'UNREACHABLE', title: 'n2 is silent.', node: 'n2' })
    const result = checkReach(node, undefined, [other, refused])
    expect(result).toMatchObject({ state: 'fail', remedy: 'Log in by hand.' })
    expect(result.measured).toBe('n1 refused the login of kairos. Tried once each.')
    expect(result.threshold).toContain('10.10.0.1:5080')
  })

  it('fails with a general way out when no error names the node', () => {
    const result = checkReach(node, undefined, [])
    expect(result).toMatchObject({ state: 'fail', measured: 'not reached' })
    expect(result.remedy).not.toBe('')
  })
})
