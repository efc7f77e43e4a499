declare module 'fs-native-extensions' {
  /** Takes an exclusive lock of the whole file from the operating system; false where another has it. */
  export function tryLock(fd: number): boolean
}
