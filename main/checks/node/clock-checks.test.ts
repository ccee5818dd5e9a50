import { describe, expect, it } from 'vitest'
import { ask } from './testing/ask.ts'
import { factsOf } from './testing/node-facts.ts'

describe('the clock of a node', () => {
  const asked = Date.UTC(2027, 0, 4, 8) / 1000
  const clock = (epoch: number, isSynchronized: boolean) =>
    factsOf({
      ssh: {
        time: { text: `epoch=${epoch}.000000000\noffset=+0000\n` },
        timedatectl: {
          text: `Timezone=UTC\nLocalRTC=no\nNTPSynchronized=${isSynchronized ? 'yes' : 'no'}\n`,
        },
        timesync: {
          text: 'SystemNTPServers=10.10.0.7\nServerName=10.10.0.7\nServerAddress=10.10.0.7\nNTPMessage={ Stratum=3, Mode=4 }\n',
        },
      },
    })

  it('that is wrong by a day is told so, and nothing else is judged by it', () => {
    const late = clock(asked - 86_400, false)
    expect(ask('ntp.synced', late)).toMatchObject({
      state: 'warn',
      measured: "not synchronized; its clock is 24 hours behind this workstation's",
    })
    expect(ask('clock.tz', late).state).toBe('pass')
    expect(ask('ntp.synced', clock(asked + 86_401, true)).measured).toMatch(
      /; its clock is 24 hours ahead of this/,
    )
  })

  it('tells whom it is synchronized with', () => {
    expect(ask('ntp.synced', clock(asked, true))).toMatchObject({
      state: 'pass',
      measured: 'synchronized with 10.10.0.7 (stratum 3)',
      evidence: 'timedatectl show',
    })
  })

  it.each([
    ['Timezone=Etc/UTC\nLocalRTC=yes\n', 'warn'],
    ['Timezone=UTC\n', 'pass'],
    ['Timezone=Universal\nLocalRTC=no\n', 'pass'],
    ['Timezone=Europe/London\nLocalRTC=no\n', 'warn'],
    ['LocalRTC=no\n', 'could-not-run'],
  ])('is in UTC: %j is %s', (text, state) => {
    expect(ask('clock.tz', factsOf({ ssh: { timedatectl: { text } } })).state).toBe(state)
  })

  it('that is an hour from UTC is wrong, also without timedatectl', () => {
    const facts = factsOf({
      ssh: { timedatectl: { missing: 'timedatectl' }, time: { text: 'epoch=1.0\noffset=+0100\n' } },
    })
    expect(ask('clock.tz', facts)).toMatchObject({ state: 'warn', measured: '60 minutes from UTC' })
  })
})
