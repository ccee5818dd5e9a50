import type { Vantage } from '../network/discovery/vantage.ts'

/** Of a sweep of so many addresses every single one is asked by a program of its own, if there is one. */
const fewAddresses = 16

/**
 * A node as a place for a few addresses: arping asks for them directly and collects every answer, where the neighbour table
 * takes a dozen readings over SSH to show the same. Without arping, or without root, it is the table again.
 */
export function briefly(vantage: Vantage): Vantage {
  return {
    ...vantage,
    sweep: async (addresses, options) => {
      if (addresses.length > fewAddresses) return await vantage.sweep(addresses, options)
      const answers = await vantage.probe(addresses, { ...options, kind: 'arping' })
      const isAnswer = answers?.observations.some(({ answer }) => answer !== 'unclear') === true
      if (answers === undefined || !isAnswer) return await vantage.sweep(addresses, options)
      options.onSwept?.()
      return answers
    },
    scan: async (addresses, options) =>
      addresses.length > fewAddresses ? await vantage.scan(addresses, options) : undefined,
  }
}
