import { createHash } from 'node:crypto'
import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** A file larger than this moves from memory into the lab's temporary folder. */
const largestInMemory = 1024 * 1024

/** Content of one file: small ones in memory, large ones on disk, so that copying an ISO costs no memory. */
export class FileContent {
  readonly #spillPath: () => string
  #memory = Buffer.alloc(0)
  #spilled: { path: string; descriptor: number } | null = null
  #size = 0

  constructor(spillPath: () => string) {
    this.#spillPath = spillPath
  }

  get size(): number {
    return this.#size
  }

  read(offset: number, length: number): Buffer {
    const end = Math.min(this.#size, offset + length)
    if (end <= offset) return Buffer.alloc(0)
    if (this.#spilled === null) return this.#memory.subarray(offset, end)
    const buffer = Buffer.alloc(end - offset)
    const count = readSync(this.#spilled.descriptor, buffer, 0, buffer.length, offset)
    return buffer.subarray(0, count)
  }

  write(offset: number, data: Buffer): void {
    const end = offset + data.length
    if (this.#spilled === null && end > largestInMemory) {
      const path = this.#spillPath()
      const descriptor = openSync(path, 'w+', 0o600)
      writeSync(descriptor, this.#memory, 0, this.#size, 0)
      this.#memory = Buffer.alloc(0)
      this.#spilled = { path, descriptor }
    }
    if (this.#spilled === null) {
      if (end > this.#memory.length) {
        const grown = Buffer.alloc(Math.max(end, this.#memory.length * 2))
        this.#memory.copy(grown, 0, 0, this.#size)
        this.#memory = grown
      }
      data.copy(this.#memory, offset)
    } else writeSync(this.#spilled.descriptor, data, 0, data.length, offset)
    this.#size = Math.max(this.#size, end)
  }

  truncate(size: number): void {
    if (this.#spilled !== null) ftruncateSync(this.#spilled.descriptor, size)
    else if (size > this.#size) this.write(size - 1, Buffer.alloc(1))
    else this.#memory.fill(0, size)
    this.#size = size
  }

  sha256(): string {
    const hash = createHash('sha256')
    for (let offset = 0; offset < this.#size; offset += largestInMemory) {
      hash.update(this.read(offset, largestInMemory))
    }
    return hash.digest('hex')
  }

  toString(): string {
    return this.read(0, this.#size).toString('utf8')
  }

  dispose(): void {
    if (this.#spilled === null) return
    closeSync(this.#spilled.descriptor)
    rmSync(this.#spilled.path, { force: true })
    this.#spilled = null
    this.#size = 0
  }
}

export interface FileEntry {
  kind: 'file'
  mode: number
  owner: string
  /** Simulated milliseconds since the Unix epoch. */
  modifiedAt: number
  content: FileContent
}

export interface FolderEntry {
  kind: 'folder'
  mode: number
  owner: string
  modifiedAt: number
}

export type Entry = FileEntry | FolderEntry
export type FileFailure =
  'not-found' | 'permission-denied' | 'exists' | 'is-folder' | 'not-folder' | 'not-empty'

/** What a node's file system answers instead of doing it. */
export class FileSystemError extends Error {
  readonly failure: FileFailure
  constructor(failure: FileFailure, path: string) {
    super(`${path}: ${failureText[failure]}`)
    this.failure = failure
  }
}

export const failureText: Record<FileFailure, string> = {
  'not-found': 'No such file or directory',
  'permission-denied': 'Permission denied',
  exists: 'File exists',
  'is-folder': 'Is a directory',
  'not-folder': 'Not a directory',
  'not-empty': 'Directory not empty',
}

/** What is lost with a reboot (palette.md §6.2): the overlay, except what the appliance binds to the persistent disk. */
const ephemeral = /^\/(etc|var|srv|run|tmp)(\/|$)/
const boundPersistent = /^\/(etc\/(systemd|ssh|kubernetes|cni|hostname)|var\/log)(\/|$)/

/** The files of one node. Root may everything; a user writes only at home and in the temporary folders. */
export class VirtualFileSystem {
  readonly #entries = new Map<string, Entry>()
  readonly #folder: string
  readonly #now: () => number
  #spilled = 0

  /** `folder`: where large files go. */
  constructor(folder: string, now: () => number) {
    this.#folder = folder
    this.#now = now
    this.#entries.set('/', { kind: 'folder', mode: 0o755, owner: 'root', modifiedAt: now() })
  }

  stat(path: string): Entry | null {
    return this.#entries.get(normalize(path)) ?? null
  }

  /** Text of a file; `null` when there is none. */
  text(path: string): string | null {
    const entry = this.stat(path)
    return entry?.kind === 'file' ? entry.content.toString() : null
  }

  list(path: string): string[] {
    const folder = normalize(path)
    const entry = this.#entries.get(folder)
    if (entry === undefined) throw new FileSystemError('not-found', path)
    if (entry.kind !== 'folder') throw new FileSystemError('not-folder', path)
    const prefix = folder === '/' ? '/' : `${folder}/`
    return [...this.#entries.keys()]
      .filter((one) => one !== '/' && one.startsWith(prefix) && !one.slice(prefix.length).includes('/'))
      .map((one) => one.slice(prefix.length))
      .sort()
  }

  /** Opens for reading. */
  read(path: string, user: string): FileEntry {
    const entry = this.stat(path)
    if (entry === null) throw new FileSystemError('not-found', path)
    if (entry.kind === 'folder') throw new FileSystemError('is-folder', path)
    if (user !== 'root' && entry.owner !== user && (entry.mode & 0o004) === 0) {
      throw new FileSystemError('permission-denied', path)
    }
    return entry
  }

  /** Opens for writing, made when it is not there. */
  open(
    path: string,
    user: string,
    options: { truncate?: boolean; exclusive?: boolean; mode?: number } = {},
  ): FileEntry {
    const target = normalize(path)
    this.#requireParent(target)
    this.#requireWritable(target, user)
    const known = this.#entries.get(target)
    if (known?.kind === 'folder') throw new FileSystemError('is-folder', path)
    if (known !== undefined) {
      if (options.exclusive === true) throw new FileSystemError('exists', path)
      if (options.truncate === true) known.content.truncate(0)
      known.modifiedAt = this.#now()
      return known
    }
    const entry: FileEntry = {
      kind: 'file',
      mode: options.mode ?? 0o644,
      owner: user,
      modifiedAt: this.#now(),
      content: new FileContent(() => join(this.#folder, String(++this.#spilled))),
    }
    this.#entries.set(target, entry)
    return entry
  }

  write(path: string, text: string | Buffer, user = 'root', mode = 0o644): void {
    this.makeFolders(parentOf(normalize(path)), 'root')
    const entry = this.open(path, user, { truncate: true, mode })
    entry.content.write(0, Buffer.from(text))
    entry.mode = mode
  }

  makeFolder(path: string, user: string): void {
    const target = normalize(path)
    if (this.#entries.has(target)) throw new FileSystemError('exists', path)
    this.#requireParent(target)
    this.#requireWritable(target, user)
    this.#entries.set(target, { kind: 'folder', mode: 0o755, owner: user, modifiedAt: this.#now() })
  }

  /** `mkdir -p`. */
  makeFolders(path: string, user: string): void {
    const target = normalize(path)
    const known = this.#entries.get(target)
    if (known?.kind === 'folder') return
    if (known !== undefined) throw new FileSystemError('exists', path)
    this.makeFolders(parentOf(target), user)
    this.makeFolder(target, user)
  }

  rename(from: string, to: string, user: string, mayReplace: boolean): void {
    const source = normalize(from)
    const target = normalize(to)
    const entry = this.#entries.get(source)
    if (entry === undefined) throw new FileSystemError('not-found', from)
    this.#requireWritable(source, user)
    this.#requireParent(target)
    this.#requireWritable(target, user)
    const known = this.#entries.get(target)
    if (known !== undefined && (!mayReplace || known.kind === 'folder'))
      throw new FileSystemError('exists', to)
    if (source === target) return
    if (known?.kind === 'file') known.content.dispose()
    for (const [path, one] of [...this.#entries]) {
      if (path !== source && !path.startsWith(`${source}/`)) continue
      this.#entries.delete(path)
      this.#entries.set(target + path.slice(source.length), one)
    }
  }

  remove(path: string, user: string, isRecursive = false): void {
    const target = normalize(path)
    const entry = this.#entries.get(target)
    if (entry === undefined) throw new FileSystemError('not-found', path)
    this.#requireWritable(target, user)
    if (entry.kind === 'folder' && !isRecursive && this.list(target).length > 0) {
      throw new FileSystemError('not-empty', path)
    }
    this.#forget((one) => one === target || one.startsWith(`${target}/`))
  }

  /** A reboot throws the overlay away. */
  loseEphemeral(): void {
    this.#forget((path) => {
      const entry = this.#entries.get(path)
      return entry?.kind === 'file' && ephemeral.test(path) && !boundPersistent.test(path)
    })
  }

  dispose(): void {
    this.#forget(() => true)
  }

  #forget(isMeant: (path: string) => boolean): void {
    for (const [path, entry] of [...this.#entries]) {
      if (!isMeant(path)) continue
      if (entry.kind === 'file') entry.content.dispose()
      this.#entries.delete(path)
    }
  }

  #requireParent(path: string): void {
    const parent = this.#entries.get(parentOf(path))
    if (parent === undefined) throw new FileSystemError('not-found', path)
    if (parent.kind !== 'folder') throw new FileSystemError('not-folder', path)
  }

  #requireWritable(path: string, user: string): void {
    if (user === 'root') return
    if (path.startsWith(`/home/${user}/`) || /^\/(tmp|var\/tmp)\//.test(path)) return
    throw new FileSystemError('permission-denied', path)
  }
}

export function normalize(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') parts.pop()
    else parts.push(part)
  }
  return `/${parts.join('/')}`
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}
