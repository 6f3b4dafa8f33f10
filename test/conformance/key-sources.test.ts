import { configPlace, folderPlace, mantaPlace, mirrorPlace } from '../support/key-places';
import { describeKeySource } from './key-sources';

describeKeySource('config.authKeys', { changes: 'never', texts: false }, configPlace);
describeKeySource('local folder', { changes: 'by itself', texts: true }, folderPlace);
describeKeySource('mirror of an object store', { changes: 'on reload', texts: true }, () => mirrorPlace());
describeKeySource('mirror of Manta', { changes: 'on reload', texts: true }, mantaPlace);
