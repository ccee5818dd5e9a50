import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { kindOfMac } from './mac-kinds.ts'

describe('the kind of a MAC address', () => {
  it.each([
    ['00:00:5e:00:01:33', 'vrrp', 51, 'a virtual router (VRRP or CARP, group 51)'],
    ['00:00:5e:00:02:ff', 'vrrp', 255, 'a virtual router (VRRP for IPv6, group 255)'],
    ['00:00:0c:07:ac:00', 'hsrp', 0, 'a virtual router (HSRP, group 0)'],
    ['00:00:0c:9f:f7:d1', 'hsrp', 2001, 'a virtual router (HSRP version 2, group 2001)'],
    ['00:05:73:a0:0f:ff', 'hsrp', 4095, 'a virtual router (HSRP for IPv6, group 4095)'],
    ['00:07:b4:00:2a:02', 'glbp', 42, 'a virtual router (GLBP, group 42)'],
    ['00:07:b4:03:ff:04', 'glbp', 1023, 'a virtual router (GLBP, group 1023)'],
  ])('%s is %s, group %i', (mac, kind, group, phrase) => {
    expect(kindOfMac(mac)).toEqual({ kind, group, isVirtualRouter: true, phrase })
  })

  it.each([
    // Neighbours of the reserved ranges belong to ordinary machines of the same makers.
    ['00:00:5e:00:03:01', 'ordinary'],
    ['00:00:0c:07:ab:01', 'ordinary'],
    ['00:00:0c:9f:ef:ff', 'ordinary'],
    ['00:05:73:a0:10:00', 'ordinary'],
    ['00:07:b4:04:00:01', 'ordinary'],
    ['00:50:56:12:34:56', 'ordinary'],
    ['02:00:00:00:00:01', 'local'],
    ['ae:12:34:56:78:9a', 'local'],
    ['02:bf:0a:0a:c8:65', 'load-balancer'],
    ['03:bf:0a:0a:c8:65', 'load-balancer'],
    ['01:00:5e:00:00:12', 'multicast'],
    ['33:33:00:00:00:01', 'multicast'],
    ['ff:ff:ff:ff:ff:ff', 'broadcast'],
    ['00:00:00:00:00:00', 'null'],
  ])('%s is %s, of no virtual router', (mac, kind) => {
    const { phrase, ...rest } = kindOfMac(mac)
    expect(rest).toEqual({ kind, isVirtualRouter: false })
    expect(phrase).not.toBe('')
  })

  it('is multicast or broadcast exactly where the lowest bit of the first octet is set', () => {
    const octet = fc.integer({ min: 0, max: 255 })
    fc.assert(
      fc.property(fc.tuple(octet, octet, octet, octet, octet, octet), (octets) => {
        const mac = octets.map((value) => value.toString(16).padStart(2, '0')).join(':')
        fc.pre(!/^0[23]:bf:/.test(mac))
        const { kind } = kindOfMac(mac)
        expect(kind === 'multicast' || kind === 'broadcast').toBe(octets[0] % 2 === 1)
      }),
    )
  })
})
