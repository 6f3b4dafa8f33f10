/**
 * The names of tables and columns. Nothing else is ever part of a statement's text: they are checked against the
 * patterns of moray.md §1.2, and quoted in the lower case to which PostgreSQL folds Moray's unquoted ones.
 */
import { MorayError } from './errors';

const BUCKET_NAME = /^[a-zA-Z]\w{0,62}$/;
const FIELD_NAME = /^(_[a-zA-Z0-9]+|[a-zA-Z][_a-zA-Z0-9]*[a-zA-Z0-9]|[a-zA-Z])$/;
const RESERVED_BUCKETS = ['buckets_config', 'moray', 'search'];
const RESERVED_FIELDS = [
    '_etag',
    '_id',
    '_idx',
    '_key',
    '_atime',
    '_ctime',
    '_mtime',
    '_rver',
    '_txn_snap',
    '_value',
    '_vnode',
];

/** @throws InvalidBucketNameError */
export function checkBucketName(name: string): void {
    if (!BUCKET_NAME.test(name) || RESERVED_BUCKETS.includes(name.toLowerCase())) {
        throw new MorayError(
            'InvalidBucketNameError',
            `"${name}" cannot be the name of a bucket: that is a letter and up to 62 letters, digits and "_", and none ` +
                `of ${RESERVED_BUCKETS.join(', ')}.`,
        );
    }
}

/** Why a field cannot be indexed under this name; undefined if it can. */
export function fieldNameFault(name: string): string | undefined {
    if (!FIELD_NAME.test(name)) {
        return `"${name}" cannot be the name of an index`;
    }
    if (RESERVED_FIELDS.includes(name.toLowerCase()) || /^_*moray/i.test(name)) {
        return `the index name "${name}" is reserved for Moray`;
    }
    return undefined;
}

/** The column that holds a field. */
export function columnOf(field: string): string {
    return field.toLowerCase();
}

/** A name of ours, or one that was checked, as it stands in a statement. */
export function quoted(name: string): string {
    if (!/^\w+$/.test(name)) {
        throw new Error(`"${name}" is no name for a statement`);
    }
    return `"${name.toLowerCase()}"`;
}
