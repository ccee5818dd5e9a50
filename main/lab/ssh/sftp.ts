import ssh2, { type Attributes, type SFTPWrapper } from 'ssh2'
import { FileSystemError, failureText, normalize, type Entry, type FileEntry } from '../file-system.ts'
import type { LabNode } from '../node.ts'

const { OPEN_MODE, STATUS_CODE } = ssh2.utils.sftp
const folderBit = 0o040000
const fileBit = 0o100000

interface OpenFile {
  kind: 'file'
  path: string
  entry: FileEntry
  mayWrite: boolean
  isAppending: boolean
}

interface OpenFolder {
  kind: 'folder'
  path: string
  isListed: boolean
}

/** SFTP version 3 over a node's files. */
export function serveSftp(sftp: SFTPWrapper, node: LabNode, user: string): void {
  const { files } = node
  const home = user === 'root' ? '/root' : `/home/${user}`
  const handles = new Map<number, OpenFile | OpenFolder>()
  let count = 0
  const absolute = (path: string) => normalize(path.startsWith('/') ? path : `${home}/${path}`)
  const keep = (opened: OpenFile | OpenFolder): Buffer => {
    const handle = Buffer.alloc(4)
    handle.writeUInt32BE(++count)
    handles.set(count, opened)
    return handle
  }
  const find = (handle: Buffer) => (handle.length === 4 ? handles.get(handle.readUInt32BE(0)) : undefined)
  const guard = (id: number, act: () => void) => {
    try {
      act()
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error
      const code =
        error.failure === 'not-found'
          ? STATUS_CODE.NO_SUCH_FILE
          : error.failure === 'permission-denied'
            ? STATUS_CODE.PERMISSION_DENIED
            : STATUS_CODE.FAILURE
      sftp.status(id, code, failureText[error.failure])
    }
  }
  const change = (id: number, act: () => void) => {
    guard(id, () => {
      act()
      sftp.status(id, STATUS_CODE.OK)
    })
  }
  const requireEntry = (path: string): Entry => {
    const entry = files.stat(absolute(path))
    if (entry === null) throw new FileSystemError('not-found', path)
    return entry
  }

  sftp.on('error', () => undefined)
  sftp.on('OPEN', (id, path, flags, attributes) => {
    guard(id, () => {
      const mayWrite = (flags & (OPEN_MODE.WRITE | OPEN_MODE.APPEND)) !== 0
      if (mayWrite && (flags & OPEN_MODE.CREAT) === 0) requireEntry(path)
      const entry = mayWrite
        ? files.open(absolute(path), user, {
            truncate: (flags & OPEN_MODE.TRUNC) !== 0,
            exclusive: (flags & OPEN_MODE.EXCL) !== 0,
            mode: sentMode(attributes),
          })
        : files.read(absolute(path), user)
      const isAppending = (flags & OPEN_MODE.APPEND) !== 0
      sftp.handle(id, keep({ kind: 'file', path: absolute(path), entry, mayWrite, isAppending }))
    })
  })
  sftp.on('READ', (id, handle, offset, length) => {
    const opened = find(handle)
    if (opened?.kind !== 'file') {
      sftp.status(id, STATUS_CODE.FAILURE)
      return
    }
    const data = opened.entry.content.read(offset, Math.min(length, 256 * 1024))
    if (data.length === 0) sftp.status(id, STATUS_CODE.EOF)
    else sftp.data(id, data)
  })
  sftp.on('WRITE', (id, handle, offset, data) => {
    const opened = find(handle)
    if (opened?.kind !== 'file' || !opened.mayWrite) {
      sftp.status(id, STATUS_CODE.PERMISSION_DENIED)
      return
    }
    opened.entry.content.write(opened.isAppending ? opened.entry.content.size : offset, data)
    sftp.status(id, STATUS_CODE.OK)
  })
  sftp.on('CLOSE', (id, handle) => {
    const isKnown = find(handle) !== undefined
    if (isKnown) handles.delete(handle.readUInt32BE(0))
    sftp.status(id, isKnown ? STATUS_CODE.OK : STATUS_CODE.FAILURE)
  })
  const stat = (id: number, path: string) => {
    guard(id, () => {
      sftp.attrs(id, attributesOf(requireEntry(path)))
    })
  }
  sftp.on('STAT', stat)
  sftp.on('LSTAT', stat)
  sftp.on('FSTAT', (id, handle) => {
    const opened = find(handle)
    if (opened === undefined) sftp.status(id, STATUS_CODE.FAILURE)
    else stat(id, opened.path)
  })
  const setStat = (id: number, path: string, attributes: Attributes) => {
    change(id, () => {
      const entry = requireEntry(path)
      if (user !== 'root' && entry.owner !== user) throw new FileSystemError('permission-denied', path)
      // ssh2 leaves out what the client did not send, whatever its type says.
      const sent: Partial<Attributes> = attributes
      if (sent.mode !== undefined) entry.mode = sent.mode & 0o7777
      if (sent.size !== undefined && entry.kind === 'file') entry.content.truncate(sent.size)
      if (sent.mtime !== undefined) entry.modifiedAt = Number(sent.mtime) * 1000
    })
  }
  sftp.on('SETSTAT', setStat)
  sftp.on('FSETSTAT', (id, handle, attributes) => {
    const opened = find(handle)
    if (opened === undefined) sftp.status(id, STATUS_CODE.FAILURE)
    else setStat(id, opened.path, attributes)
  })
  sftp.on('OPENDIR', (id, path) => {
    guard(id, () => {
      files.list(absolute(path))
      sftp.handle(id, keep({ kind: 'folder', path: absolute(path), isListed: false }))
    })
  })
  sftp.on('READDIR', (id, handle) => {
    const opened = find(handle)
    if (opened?.kind !== 'folder') {
      sftp.status(id, STATUS_CODE.FAILURE)
      return
    }
    const names = opened.isListed ? [] : files.list(opened.path)
    opened.isListed = true
    if (names.length === 0) {
      sftp.status(id, STATUS_CODE.EOF)
      return
    }
    sftp.name(
      id,
      names.map((name) => {
        const attrs = attributesOf(requireEntry(`${opened.path}/${name}`))
        return { filename: name, longname: `-rw-r--r-- 1 root root ${attrs.size} Jan 1 00:00 ${name}`, attrs }
      }),
    )
  })
  sftp.on('REALPATH', (id, path) => {
    const resolved = absolute(path)
    sftp.name(id, [{ filename: resolved, longname: resolved, attrs: attributesOf(null) }])
  })
  sftp.on('MKDIR', (id, path) => {
    change(id, () => {
      files.makeFolder(absolute(path), user)
    })
  })
  sftp.on('RMDIR', (id, path) => {
    change(id, () => {
      files.remove(absolute(path), user)
    })
  })
  sftp.on('REMOVE', (id, path) => {
    change(id, () => {
      files.remove(absolute(path), user)
    })
  })
  sftp.on('RENAME', (id, from, to) => {
    // Version 3 does not replace an existing file.
    change(id, () => {
      files.rename(absolute(from), absolute(to), user, false)
    })
  })
}

/** ssh2 leaves out what the client did not send, whatever its type says. */
function sentMode(attributes: Partial<Attributes>): number {
  return (attributes.mode ?? 0o644) & 0o7777
}

function attributesOf(entry: Entry | null): Attributes {
  const isFolder = entry?.kind !== 'file'
  const seconds = Math.floor((entry?.modifiedAt ?? 0) / 1000)
  return {
    mode: (isFolder ? folderBit : fileBit) | (entry?.mode ?? 0o755),
    uid: entry?.owner === 'root' || entry === null ? 0 : 1000,
    gid: entry?.owner === 'root' || entry === null ? 0 : 1000,
    size: entry?.kind === 'file' ? entry.content.size : 4096,
    atime: seconds,
    mtime: seconds,
  }
}
