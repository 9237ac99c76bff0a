// java JettyServer.java PORT LIMIT: the handler of the zoo for Jetty, embedded.
import java.io.*;
import javax.servlet.http.*;
import org.eclipse.jetty.server.*;
import org.eclipse.jetty.server.handler.AbstractHandler;

public class JettyServer {
    static class Echo extends AbstractHandler {
        @Override public void handle(String target, Request base, HttpServletRequest request, HttpServletResponse answer) throws IOException {
            if (request.getMethod().equals("POST")) request.getInputStream().readAllBytes();
            byte[] body = ("path=" + request.getRequestURI() + "\n").getBytes();
            answer.setContentType("text/plain");
            answer.setContentLength(body.length);
            answer.getOutputStream().write(body);
            base.setHandled(true);
        }
    }

    public static void main(String[] args) throws Exception {
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(args[0]));
        connector.setIdleTimeout(1000L * Integer.parseInt(args[1]));
        server.addConnector(connector);
        server.setHandler(new Echo());
        server.start();
        server.join();
    }
}
