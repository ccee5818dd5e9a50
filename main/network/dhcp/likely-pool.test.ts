import { expect, it } from 'vitest'
import { parseAddress } from '../../../shared/plan/ipv4.ts'
import { likelyPool } from './likely-pool.ts'

it('a likely pool spans from the lowest to the highest offer, as numbers', () => {
  const offers = ['10.0.0.200', '10.0.0.9', '10.0.0.30'].map((address) => ({ address }))
  expect(likelyPool(offers)).toEqual({ first: parseAddress('10.0.0.9'), last: parseAddress('10.0.0.200') })
})

it('without an offer there is no likely pool', () => {
  expect(likelyPool([])).toBeUndefined()
})
