import { timingSafeEqual } from 'node:crypto'

/** Base64 with or without padding, or passlib's, which has `.` in place of `+`. @param {string} text */
export const bytesOf = (text) => Buffer.from(text.replaceAll('.', '+'), 'base64')

/**
 * @param {Buffer} one
 * @param {Buffer} other
 */
export const isSame = (one, other) => one.length === other.length && timingSafeEqual(one, other)
