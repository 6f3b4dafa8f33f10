/** ExportImage: POST /images/U?action=export (manta.md §6). */
import { posix } from 'node:path';
import { ApiError, invalidParameter } from '../errors';
import { show } from '../images/json';
import type { Call } from './call';
import type { Query } from './query';

/** What the parameter takes. */
const PATH = 'a path such as "/login/stor/name"';

/** Where to export to, normalised: `/login/…`, so that nobody gets at another login's by way of `..`. */
function exportPath(query: Query): string {
    const given = query.required('manta_path', PATH);
    const path = posix.normalize(given);
    const [before, login] = path.split('/');
    if (before !== '' || login === undefined || login === '') {
        throw invalidParameter(`Parameter "manta_path" is ${show(given)}; it takes ${PATH}.`, 'manta_path');
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
