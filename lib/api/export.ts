/** ExportImage: POST /images/U?action=export (manta.md §6). */
import { posix } from 'node:path';
import { ApiError, invalidParameter, validationFailed } from '../errors';
import type { Call } from './call';
import type { Query } from './query';

/** Where to export to, normalised: `/login/…`, so that nobody gets at another login's by way of `..`. */
export function exportPath(query: Query): string {
    const given = query.nonEmpty('manta_path');
    if (given === undefined) {
        throw validationFailed(
            'Parameter "manta_path" is missing; it takes a path such as "/login/stor/name".',
            'manta_path',
            'MissingParameter',
        );
    }
    const path = posix.normalize(given);
    const [before, login] = path.split('/');
    if (before !== '' || login === undefined || login === '') {
        throw invalidParameter(
            `Parameter "manta_path" is "${given}"; it takes a path such as "/login/stor/name".`,
            'manta_path',
        );
    }
    return path;
}

/** Checks a request to export an image. No storage of this version can (`StorageCapabilities.export`). */
export function exportImage(call: Call): void {
    exportPath(call.query);
    throw new ApiError(
        'StorageUnsupported',
        'Images can be exported only from an object store, and this server has none.',
    );
}
