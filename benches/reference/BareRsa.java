// Times bare RSA private-key operations of this Java: java BareRsa.java [SECONDS]. Prints rows of the table that benchmarks of
// the reference library print, so that its own RSA can be taken out of its figures.
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.util.Arrays;
import java.util.concurrent.Callable;
import javax.crypto.Cipher;

final class BareRsa {
  public static void main(String[] args) throws Exception {
    double seconds = args.length > 0 ? Double.parseDouble(args[0]) : 1;
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(2048);
    KeyPair pair = generator.generateKeyPair();
    String transformation = "RSA/ECB/OAEPWithSHA-256AndMGF1Padding";
    Cipher wrapper = Cipher.getInstance(transformation);
    wrapper.init(Cipher.ENCRYPT_MODE, pair.getPublic());
    byte[] wrapped = wrapper.doFinal(new byte[32]);
    report("decrypt", seconds, () -> {
      Cipher cipher = Cipher.getInstance(transformation);
      cipher.init(Cipher.DECRYPT_MODE, pair.getPrivate());
      return cipher.doFinal(wrapped);
    });
    report("sign", seconds, () -> {
      Signature signature = Signature.getInstance("SHA256withRSA");
      signature.initSign(pair.getPrivate());
      signature.update(wrapped);
      return signature.sign();
    });
  }

  private static void report(String step, double seconds, Callable<byte[]> work) throws Exception {
    run(3, work);
    double[] ms = new double[5];
    for (int i = 0; i < ms.length; i++) {
      ms[i] = run(seconds, work);
    }
    Arrays.sort(ms);
    System.out.printf(java.util.Locale.ROOT, "| bare RSA-2048 | - | 1 | %s | %.3f | %.3f | %.3f |%n", step, ms[2], ms[0], ms[4]);
  }

  private static double run(double seconds, Callable<byte[]> work) throws Exception {
    long start = System.nanoTime();
    long end = start + (long) (seconds * 1e9);
    long count = 0;
    while (System.nanoTime() < end) {
      work.call();
      count++;
    }
    return (System.nanoTime() - start) / 1e6 / count;
  }
}
