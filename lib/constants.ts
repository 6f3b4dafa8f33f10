/** Fixed names and limits; as a program (`node lib/constants.js [KEY]`) it prints them for scripts (config.md §4). */
import { printed } from './config/print';
import { COMPRESSIONS, STORAGE_TYPES, UNSET_OWNER_UUID } from './manifest';

export { UNSET_OWNER_UUID };

/** Base folder of local data where `dataDir` is not configured. The variable is for test harnesses only. */
export const LOCAL_BASE_DIR = process.env.IMGAPITEST_LOCAL_BASE_DIR ?? '/data/imgapi';
export const DATABASE_LOCAL_DIR = `${LOCAL_BASE_DIR}/manifests`;
export const STORAGE_LOCAL_IMAGES_DIR = `${LOCAL_BASE_DIR}/images`;
export const STORAGE_LOCAL_ARCHIVE_DIR = `${LOCAL_BASE_DIR}/archive`;
export const AUTHKEYS_BASE_DIR = `${LOCAL_BASE_DIR}/etc/keys`;

/** Bytes; an icon of exactly this size is taken. */
export const MAX_ICON_SIZE = 128 * 1024;
export const MAX_ICON_SIZE_STR = '128 KiB';
/** Bytes; a file of exactly this size is taken. */
export const MAX_IMAGE_SIZE = 20 * 1024 ** 3;
export const MAX_IMAGE_SIZE_STR = '20 GiB';
/** Images in one chain of origins. */
export const MAX_ORIGIN_DEPTH = 100;

export const VALID_FILE_COMPRESSIONS = COMPRESSIONS;
export const VALID_STORAGES = STORAGE_TYPES;

const constants: Readonly<Record<string, unknown>> = {
    LOCAL_BASE_DIR,
    DATABASE_LOCAL_DIR,
    MAX_ICON_SIZE,
    MAX_ICON_SIZE_STR,
    MAX_IMAGE_SIZE,
    MAX_IMAGE_SIZE_STR,
    MAX_ORIGIN_DEPTH,
    STORAGE_LOCAL_IMAGES_DIR,
    STORAGE_LOCAL_ARCHIVE_DIR,
    UNSET_OWNER_UUID,
    VALID_FILE_COMPRESSIONS,
    VALID_STORAGES,
    AUTHKEYS_BASE_DIR,
};

if (require.main === module) {
    const [key] = process.argv.slice(2);
    const value = key === undefined ? constants : Object.hasOwn(constants, key) ? constants[key] : undefined;
    process.stdout.write(`${printed(value)}\n`);
}
