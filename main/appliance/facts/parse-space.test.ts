import { describe, expect, it } from 'vitest'
import { parseDf } from './parse-space.ts'

const heading = 'Filesystem           1024-blocks    Used Available Capacity Mounted on\n'

describe('space', () => {
  it('is in bytes, and names the file system that a folder is on', () => {
    expect(
      parseDf(`${heading}/dev/sda5             264212084  23835652  82555260  22% /usr/local\n`),
    ).toEqual({
      size: 264_212_084 * 1024,
      available: 82_555_260 * 1024,
      mountPoint: '/usr/local',
    })
    expect(parseDf(`${heading}overlay 10 10 -3 100% /\n`)).toEqual({
      size: 10_240,
      available: 0,
      mountPoint: '/',
    })
    expect(parseDf(`${heading}server:/a b 10 10 0 100% /mnt/a b\n`)?.mountPoint).toBe('/mnt/a b')
    expect(parseDf(`${heading}tmpfs 0 0 0 - /x\n`)).toMatchObject({ size: 0 })
  })

  it.each(['', heading, 'df: /oem: No such file or directory\n', `${heading}a b c\n`])(
    'is unread in %j',
    (text) => {
      expect(parseDf(text)).toBeUndefined()
    },
  )
})
