/** ExportImage: POST /images/U?action=export (manta.md §6). */
import { posix } from 'node:path';
import { keyRoot, s3Server } from '../config/s3';
import { ApiError, invalidParameter, missingParameter } from '../errors';
import { makeFrom } from '../images/change';
import { exportableFile, exportImage as exportTo, type ExportedPaths } from '../images/export';
import { show } from '../images/json';
import type { StorageType } from '../manifest';
import { ExportRefused } from '../storage/driver';
import type { Call } from './call';
import { subjectOf } from './mutate';
import { account, loadedImage } from './steps';

/** A parameter that names a place to export to. */
interface PlaceParameter {
    readonly name: 'manta_path' | 's3_path';
    readonly storage: StorageType;
    /** What it takes. */
    readonly takes: string;
    /** Paths begin with `/`. */
    readonly absolute: boolean;
}

const MANTA_PATH: PlaceParameter = {
    name: 'manta_path',
    storage: 'manta',
    takes: 'a path such as "/login/stor/name"',
    absolute: true,
};
const S3_PATH: PlaceParameter = {
    name: 's3_path',
    storage: 's3',
    takes: 'what keys begin with, such as "login/name" or "login/folder/"',
    absolute: false,
};

interface Place {
    readonly parameter: PlaceParameter;
    /** Normalised, so that nobody gets elsewhere by way of `..`. */
    readonly path: string;
    /** The login whose place it is: the first segment. */
    readonly login: string;
}

const CONTROL = /\p{Cc}/u;

/** Where to export to. Which of the parameters it is that is given says in which storage. */
function placeOf({ query }: Call): Place {
    const [parameter, other] = [S3_PATH, MANTA_PATH].filter(({ name }) => query.nonEmpty(name) !== undefined);
    if (!parameter) {
        const other = `; "${S3_PATH.name}" takes ${S3_PATH.takes}`;
        throw missingParameter(MANTA_PATH.name, MANTA_PATH.takes + other);
    }
    if (other) {
        throw invalidParameter(
            `Parameters "${parameter.name}" and "${other.name}" are both given; an image is exported to one place.`,
            parameter.name,
            'NotAllowed',
        );
    }
    const { name, takes, absolute } = parameter;
    const given = query.required(name, takes);
    const path = posix.normalize(absolute ? given : `/${given}`);
    const [before, login] = path.split('/');
    if (before !== '' || login === undefined || login === '' || CONTROL.test(path)) {
        throw invalidParameter(`Parameter "${name}" is ${show(given)}; it takes ${takes}.`, name);
    }
    return { parameter, path: absolute ? path : path.slice(1), login };
}

/**
 * An account exports only to places of its own: below its login.
 * @throws ApiError AccountDoesNotExist, NotMantaPathOwner; ServiceUnavailableError if the directory cannot say
 */
async function assertOwnPlace(call: Call, { parameter, path, login }: Place): Promise<void> {
    const caller = account(call);
    if (caller === undefined) {
        return;
    }
    // Only a datacenter has accounts; elsewhere none can be shown to be the owner of anything.
    const known = await call.services.accounts?.find(caller);
    if (!known) {
        throw new ApiError('AccountDoesNotExist', `There is no account ${caller}.`);
    }
    if (known.login !== login) {
        throw new ApiError(
            'NotMantaPathOwner',
            `Account ${caller} has the login ${show(known.login)}; "${parameter.name}" is ${show(path)}, which is ` +
                `a place of ${show(login)}.`,
        );
    }
}

/** What tells clients where the copies are. */
function answerOf(
    { services: { config } }: Call,
    { storage }: PlaceParameter,
    { imagePath, manifestPath }: ExportedPaths,
): Record<string, string | undefined> {
    const { manta, s3 } = config;
    if (storage === 'manta') {
        return { manta_url: manta?.url, image_path: imagePath, manifest_path: manifestPath };
    }
    const root = keyRoot(s3?.exportPrefix);
    return {
        s3_url: s3 && s3Server(s3),
        s3_bucket: s3?.bucket,
        image_path: root + imagePath,
        manifest_path: root + manifestPath,
    };
}

export async function exportImage(call: Call): Promise<void> {
    const place = placeOf(call);
    const { services, log, signal, version2 } = call;
    const { parameter, path } = place;
    exportableFile(services.storages, loadedImage(call), parameter.storage);
    await assertOwnPlace(call, place);
    const parts = { ...services, mode: services.config.mode, log, signal };
    const target = { storage: parameter.storage, path };
    try {
        const paths = await makeFrom(services.images, subjectOf(call), (image) =>
            exportTo(parts, image, target, version2),
        );
        call.send(200, answerOf(call, parameter, paths));
    } catch (err) {
        throw err instanceof ExportRefused ? invalidParameter(err.message, parameter.name) : err;
    }
}
