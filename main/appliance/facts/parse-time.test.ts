import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseAdjtime, parseChrony, parseDate, parseTimedatectl, parseTimesync } from './parse-time.ts'

describe('the clock', () => {
  it('is read to the fraction of a millisecond', () => {
    expect(parseDate('epoch=1795343291.123456789\nzone=UTC\noffset=+0000\n')).toEqual({
      epochMs: expect.closeTo(1_795_343_291_123.456, 2) as number,
      utcOffsetMs: 0,
    })
    expect(parseDate('epoch=1795343291.%N\nzone=CET\noffset=+0130\n')).toEqual({
      epochMs: 1_795_343_291_000,
      utcOffsetMs: 5_400_000,
    })
    expect(parseDate('epoch=5\noffset=-0500\n')).toEqual({ epochMs: 5000, utcOffsetMs: -18_000_000 })
    expect(parseDate('epoch=5\noffset=%z\n')).toEqual({ epochMs: 5000, utcOffsetMs: undefined })
    expect(parseDate('epoch=\n')).toBeUndefined()
    expect(parseDate('date: invalid date')).toBeUndefined()
  })

  it('has settings by timedatectl, in the versions of Ubuntu 22.04 and 24.04 alike', () => {
    const jammy =
      'Timezone=Etc/UTC\nLocalRTC=no\nCanNTP=yes\nNTP=yes\nNTPSynchronized=yes\n' +
      'TimeUSec=Sun 2026-11-22 10:28:11 UTC\nRTCTimeUSec=Sun 2026-11-22 10:28:11 UTC\n'
    expect(parseTimedatectl(jammy)).toEqual({
      timeZone: 'Etc/UTC',
      isRtcLocalTime: false,
      isNtpEnabled: true,
      isSynchronized: true,
    })
    const german = jammy.replaceAll('Sun ', 'So ').replace('NTPSynchronized=yes', 'NTPSynchronized=no')
    expect(parseTimedatectl(german)).toMatchObject({ isSynchronized: false })
  })

  it('says nothing that timedatectl does not say', () => {
    expect(parseTimedatectl('System clock synchronized: ja\nLocalRTC=ja\n')).toEqual({
      timeZone: undefined,
      isRtcLocalTime: undefined,
      isNtpEnabled: undefined,
      isSynchronized: undefined,
    })
  })

  it('of the hardware is in UTC or in local time', () => {
    expect(parseAdjtime('0.0 0 0.0\n0\nLOCAL\n')).toBe(true)
    expect(parseAdjtime('0.0 0 0.0\n0\nUTC\n')).toBe(false)
    expect(parseAdjtime('')).toBeUndefined()
  })
})

describe('systemd-timesyncd', () => {
  it('has a server once it has answered', () => {
    const waiting =
      'SystemNTPServers=10.0.0.1 10.0.0.2\nFallbackNTPServers=ntp.ubuntu.com\nServerName=10.0.0.1\nServerAddress=10.0.0.1\nRootDistanceMaxUSec=5s\nFrequency=0\n'
    expect(parseTimesync(waiting)).toEqual({
      service: 'systemd-timesyncd',
      servers: ['10.0.0.1', '10.0.0.2'],
      server: undefined,
      stratum: undefined,
      offsetMs: undefined,
    })
    const message = 'NTPMessage={ Leap=0, Version=4, Mode=4, Stratum=2, Precision=-25, RootDelay=0, Ignored=no, PacketCount=1, Jitter=0 }\n' // prettier-ignore
    expect(parseTimesync(`${waiting}${message}`)).toMatchObject({ server: '10.0.0.1', stratum: 2 })
  })

  it('without servers of its own takes those of its maker', () => {
    expect(parseTimesync('FallbackNTPServers=0.example 1.example\n')?.servers).toEqual([
      '0.example',
      '1.example',
    ])
    expect(parseTimesync('Failed to parse bus message\n')).toBeUndefined()
  })
})

describe('chrony', () => {
  const sources = '^,*,10.0.0.1,2,6,377,33,0.000012,0.000012,0.000105\n^,-,10.0.0.2,3,6,377,33,0.1,0.1,0.1\n#,x,PPS0,0,4,0,1,0,0,0\n' // prettier-ignore

  it('tells by how much the clock is slow', () => {
    const tracking = '0A000001,10.0.0.1,3,1795343291.123456789,0.000150000,-0.000000012,0.000021,-12.345,0.001,0.05,0.000312,0.000101,64.2,Normal\n' // prettier-ignore
    expect(parseChrony(tracking, sources)).toEqual({
      isSynchronized: true,
      source: {
        service: 'chrony',
        servers: ['10.0.0.1', '10.0.0.2'],
        server: '10.0.0.1',
        stratum: 3,
        offsetMs: expect.closeTo(-0.15, 9) as number,
      },
    })
  })

  it('without a server says so', () => {
    const tracking = '00000000,,0,0.000000000,0.000000000,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n'
    expect(parseChrony(tracking, '')).toEqual({
      isSynchronized: false,
      source: { service: 'chrony', servers: [], server: undefined, stratum: undefined, offsetMs: undefined },
    })
  })

  it('that takes its own clock for a source is not synchronised', () => {
    const tracking = '7F7F0101,,10,1795343291.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,Normal\n'
    expect(parseChrony(tracking, '')?.isSynchronized).toBe(false)
  })

  it('that does not answer tells nothing', () => {
    expect(parseChrony('506 Cannot talk to daemon\n', '')).toBeUndefined()
    expect(parseChrony('', '')).toBeUndefined()
  })
})

it('no parser of the time throws on any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string(), (text, other) => {
      for (const parse of [parseDate, parseTimedatectl, parseAdjtime, parseTimesync]) {
        expect(() => parse(`${text}\n${other}`)).not.toThrow()
      }
      expect(() => parseChrony(text, other)).not.toThrow()
    }),
  )
})
